"""What must never be false is refused by the tables, whoever writes."""

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from tests.labeling.factories import (
    AssignmentFactory,
    BatchFactory,
    CandidateFactory,
    DemonstrationFactory,
    DraftFactory,
    PromptFactory,
    RankedItemFactory,
    RankingFactory,
    SkipFactory,
    SlotFactory,
    TallyFactory,
    TaskFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def refused(act, name):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        act()


def test_every_table_has_a_factory():
    for factory in (DraftFactory, SkipFactory, TallyFactory, RankedItemFactory, DemonstrationFactory):
        assert factory().pk


def test_a_prompt_once_per_project():
    prompt = PromptFactory()
    refused(lambda: PromptFactory(project=prompt.project, digest=prompt.digest), "prompt_once_per_project")
    assert PromptFactory(digest=prompt.digest)


def test_known_choices_only():
    refused(lambda: PromptFactory(split="test"), "prompt_split_known")
    refused(lambda: BatchFactory(kind="essay"), "batch_kind_known")
    refused(lambda: BatchFactory(state="gone"), "batch_state_known")
    refused(lambda: TaskFactory(state="gone"), "task_state_known")
    refused(lambda: AssignmentFactory(state="gone"), "assignment_state_known")


def test_an_overlap_of_one_to_nine():
    refused(lambda: BatchFactory(overlap=0), "batch_overlap_1_to_9")
    refused(lambda: BatchFactory(overlap=10), "batch_overlap_1_to_9")


def test_a_prompt_once_per_batch():
    task = TaskFactory()
    refused(lambda: TaskFactory(batch=task.batch, prompt=task.prompt), "prompt_once_per_batch")


def test_a_completion_once_per_task():
    candidate = CandidateFactory()
    refused(
        lambda: CandidateFactory(task=candidate.task, completion=candidate.completion),
        "completion_once_per_task",
    )


def test_a_slot_number_once_per_task():
    slot = SlotFactory()
    refused(lambda: SlotFactory(task=slot.task), "slot_number_once_per_task")


def test_one_slot_per_task_and_labeler():
    user = UserFactory()
    slot = SlotFactory(labeler=user, lease_until=now())
    refused(
        lambda: SlotFactory(task=slot.task, number=1, labeler=user, lease_until=now()),
        "one_slot_per_task_and_labeler",
    )


def test_an_answered_slot_has_a_labeler_and_is_closed():
    refused(lambda: SlotFactory(answered=True, is_open=False), "answered_slot_has_labeler")
    refused(lambda: SlotFactory(answered=True, labeler=UserFactory()), "answered_slot_has_labeler")


def test_a_held_slot_has_a_lease_end_and_a_free_one_none():
    refused(lambda: SlotFactory(labeler=UserFactory()), "held_slot_has_a_lease_end")
    refused(lambda: SlotFactory(lease_until=now()), "held_slot_has_a_lease_end")


def test_one_assignment_per_task_and_labeler():
    one = AssignmentFactory(state="skipped")
    refused(
        lambda: AssignmentFactory(slot=one.slot, labeler=one.labeler), "one_assignment_per_task_and_labeler"
    )


def test_one_live_lease_per_slot():
    one = AssignmentFactory()
    refused(lambda: AssignmentFactory(slot=one.slot), "one_live_lease_per_slot")
    assert AssignmentFactory(slot=one.slot, state="expired")


def test_two_seats_per_labeler_and_project():
    one = AssignmentFactory()
    batch = one.task.batch

    def lease(**more):
        slot = SlotFactory(task=TaskFactory(batch=batch))
        return AssignmentFactory(slot=slot, labeler=one.labeler, **more)

    refused(lease, "one_live_lease_per_seat")
    assert lease(seat=1)
    assert lease(state="submitted")
    refused(lambda: lease(seat=2), "two_seats_per_labeler")


@pytest.mark.parametrize("factory", [RankingFactory, DemonstrationFactory])
def test_revisions_and_keys_of_answers(factory):
    one = factory(idempotency_key="key-of-mine")
    name = factory._meta.model._meta.model_name
    again = {"task": one.task, "labeler": one.labeler}
    refused(lambda: factory(**again, is_latest=False), f"{name}_revision_once")
    refused(lambda: factory(**again, revision=2), f"{name}_one_latest")
    refused(
        lambda: factory(labeler=one.labeler, idempotency_key="key-of-mine"), f"{name}_idempotency_key_once"
    )
    assert factory(idempotency_key="key-of-mine")
    assert factory(labeler=one.labeler)


def test_a_candidate_is_ranked_once_from_one_to_nine():
    item = RankedItemFactory()
    refused(
        lambda: RankedItemFactory(ranking=item.ranking, candidate=item.candidate), "candidate_ranked_once"
    )
    refused(lambda: RankedItemFactory(rank=0), "rank_1_to_9")
    refused(lambda: RankedItemFactory(rank=10), "rank_1_to_9")
    refused(lambda: RankedItemFactory(likert=8), "likert_1_to_7")


def test_a_tally_once_per_batch_and_labeler():
    tally = TallyFactory()
    refused(lambda: TallyFactory(batch=tally.batch, labeler=tally.labeler), "one_tally_per_batch_and_labeler")


def test_a_submitted_answer_never_changes():
    demonstration, ranking, item = DemonstrationFactory(), RankingFactory(), RankedItemFactory()
    rows = [
        (demonstration, "text", "other"),
        (ranking, "note", "other"),
        (ranking, "is_late", True),
        (item, "rank", 2),
    ]
    for row, field, value in rows:
        refused(
            lambda row=row, change={field: value}: type(row).objects.filter(pk=row.pk).update(**change),
            "never changes",
        )
    type(ranking).objects.filter(pk=ranking.pk).update(is_latest=False)
