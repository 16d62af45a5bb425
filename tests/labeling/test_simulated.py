"""Simulated labelers work through the same queue as people."""

import pytest

from accounts.models import User
from inference.models import Completion
from labeling.demo.answers import good_answer
from labeling.demo.preference import hidden_score
from labeling.demo.prompts import make_prompts
from labeling.models import Demonstration, Prompt, RankedItem, Ranking
from labeling.services import batches
from labeling.services.assignment import next_assignment
from labeling.services.batches import open_demonstration_batch
from labeling.services.candidates import open_ranking_batch
from labeling.simulated import simulate_batch, simulated_labelers
from tests.labeling.factories import CompletionFactory, PromptFactory, VersionFactory
from training.starter.flaws import flawed_answer

pytestmark = pytest.mark.django_db
TEXTS = make_prompts(6, seed=11)


@pytest.fixture
def labelers(project):
    return simulated_labelers(project=project, count=3)


@pytest.fixture
def prompts(project):
    return [PromptFactory(project=project, text=text) for text in TEXTS]


def demonstration_batch(project, *, quota, overlap=1):
    return open_demonstration_batch(
        project=project, prompts=Prompt.objects.filter(project=project), quota=quota, overlap=overlap
    )


def ranking_batch(project, prompts, *, overlap=1):
    version = VersionFactory(project=project)
    items = []
    for prompt in prompts:
        text = prompt.messages[-1]["content"]
        answers = [good_answer(text, 1), flawed_answer(text, 2, flaws=2), "I do not know.", "Yes."]
        items.append((prompt, [CompletionFactory(version=version, text=answer) for answer in answers]))
    return open_ranking_batch(project=project, items=items, overlap=overlap)


def test_they_are_made_once_and_marked_synthetic(project, labelers):
    again = simulated_labelers(project=project, count=3)
    assert [one.pk for one in again] == [one.pk for one in labelers]
    assert all(one.is_synthetic for one in labelers)
    assert User.objects.filter(is_synthetic=True).count() == 3


def test_they_write_exactly_the_demonstrations_asked_for(project, prompts, labelers):
    batch = demonstration_batch(project, quota=4)
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == 4
    rows = Demonstration.objects.filter(task__batch=batch)
    assert rows.count() == 4
    assert all(row.is_synthetic and not row.is_late for row in rows)
    assert all(hidden_score(row.task.prompt.messages[-1]["content"], row.text) > 0.8 for row in rows)


def test_they_rank_every_task_and_mostly_put_the_good_answer_first(project, prompts, labelers):
    batch = ranking_batch(project, prompts)
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == len(prompts)
    assert Ranking.objects.filter(task__batch=batch, is_synthetic=True).count() == len(prompts)
    best = RankedItem.objects.filter(ranking__task__batch=batch, rank=1)
    good = [item for item in best if len(item.candidate.completion.text) > 20]
    assert len(good) >= len(prompts) / 2


def test_with_overlap_each_task_is_ranked_by_different_labelers(project, prompts, labelers):
    batch = ranking_batch(project, prompts[:2], overlap=2)
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == 4
    for task in batch.tasks.all():
        assert Ranking.objects.filter(task=task).values("labeler").distinct().count() == 2


def test_a_second_time_changes_nothing(project, prompts, labelers):
    batch = ranking_batch(project, prompts)
    simulate_batch(batch=batch, labelers=labelers, seed=0)
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == 0
    assert Ranking.objects.count() == len(prompts)


def test_a_task_that_a_person_holds_is_left_to_them(project, prompts, labelers, ana):
    batch = ranking_batch(project, prompts)
    held = next_assignment(project=project, labeler=ana, kinds=["ranking"])["assignment"]
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == len(prompts) - 1
    assert not Ranking.objects.filter(task__assignments=held["id"]).exists()


def test_a_frozen_batch_gets_no_answer(project, prompts, labelers):
    batch = ranking_batch(project, prompts)
    batches.freeze(batch=batch)
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == 0


def test_a_person_never_answers_by_itself(project, prompts, ana):
    with pytest.raises(ValueError, match="ana is no simulated labeler"):
        simulate_batch(batch=demonstration_batch(project, quota=1), labelers=[ana], seed=0)


def test_hostile_completions_are_ranked_like_any_other(project, prompts, labelers):
    version = VersionFactory(project=project)
    hostile = ["", "<script>alert(1)</script>", "\u202e\u0007 ../../etc", "{{7*7}} %s \\"]
    items = [(prompts[0], [CompletionFactory(version=version, text=text) for text in hostile])]
    batch = open_ranking_batch(project=project, items=items)
    assert simulate_batch(batch=batch, labelers=labelers, seed=0) == 1
    assert Completion.objects.filter(version=version).count() == 4
