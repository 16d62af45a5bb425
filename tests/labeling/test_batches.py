import pytest

from accounts.models import Event
from common.errors import InvalidInput, NotFound
from common.state_machine import IllegalMove
from labeling.models import Assignment, Candidate, Prompt, Slot, Task
from labeling.selectors import batch_progress
from labeling.services.batches import cancel, freeze, open_demonstration_batch
from labeling.services.candidates import add_ranking_tasks, open_ranking_batch
from tests.labeling.factories import (
    CompletionFactory,
    PromptFactory,
    VersionFactory,
    demonstration_batch,
    ranking_batch,
)


def items(project, *texts, prompt=None):
    version = VersionFactory(project=project)
    return [
        (
            prompt or PromptFactory(project=project),
            [CompletionFactory(version=version, text=t) for t in texts],
        )
    ]


def test_a_slot_for_each_wanted_answer(project):
    batch = ranking_batch(project, tasks=3, overlap=2)
    assert (Task.objects.count(), Slot.objects.count()) == (3, 6)
    assert batch.quota == 6
    assert batch_progress(batch) == (0, 6)
    assert Event.objects.get(kind="batch.opened").data["tasks"] == 3


def test_demonstrations_may_have_more_tasks_than_the_quota(project):
    for _ in range(5):
        PromptFactory(project=project)
    batch = open_demonstration_batch(project=project, prompts=Prompt.objects.all(), quota=2)
    assert (batch.tasks.count(), batch.quota) == (5, 2)


def test_the_same_prompt_again_is_passed_over(project):
    (item,) = items(project, "a", "b")
    batch = open_ranking_batch(project=project, items=[item, item])
    assert add_ranking_tasks(batch=batch, items=[item]) == 0
    assert (batch.tasks.count(), Candidate.objects.count(), batch.quota) == (1, 2, 1)


def test_what_says_the_same_is_left_out(project):
    batch = open_ranking_batch(
        project=project, items=items(project, "a", " a", "a\n") + items(project, "a", "b")
    )
    assert (batch.tasks.count(), batch.quota) == (1, 1)
    assert Event.objects.get(kind="batch.opened").data["left_out"] == 1


@pytest.mark.parametrize(("kind", "k"), [("ranking", 1), ("ranking", 10), ("comparison", 3)])
def test_k_has_its_bounds(project, kind, k):
    with pytest.raises(InvalidInput):
        open_ranking_batch(project=project, items=items(project, *map(str, range(k))), kind=kind)
    assert not Task.objects.exists()


def test_prompts_and_completions_of_other_projects_are_refused(project, other_project):
    for item in (
        items(other_project, "a", "b"),
        items(other_project, "a", "b", prompt=PromptFactory(project=project)),
    ):
        with pytest.raises(NotFound):
            open_ranking_batch(project=project, items=item)


def test_an_overlap_has_its_bounds(project):
    with pytest.raises(InvalidInput):
        open_ranking_batch(project=project, items=items(project, "a", "b"), overlap=10)


def test_a_freeze_ends_everything_once(works, project, ana):
    batch = ranking_batch(project, tasks=3)
    me = works(ana)
    me.rank(me.take())
    held = me.take()
    freeze(batch=batch)
    freeze(batch=batch)
    assert batch.state == "frozen"
    assert batch.frozen_at
    assert Assignment.objects.get(pk=held["id"]).state == "expired"
    assert not Slot.objects.filter(is_open=True).exists()
    assert Slot.objects.filter(answered=True).count() == 1
    assert Event.objects.filter(kind="batch.frozen").count() == 1
    assert batch_progress(batch) == (1, 3)


def test_a_cancelled_batch_withdraws_its_tasks_and_cannot_be_frozen(works, project, ana):
    batch = demonstration_batch(project, tasks=2)
    me = works(ana)
    me.submit(me.take(), text="kept")
    cancel(batch=batch)
    assert sorted(Task.objects.values_list("state", flat=True)) == ["complete", "withdrawn"]
    with pytest.raises(IllegalMove):
        freeze(batch=batch)
