"""Whatever people do in whatever order, the queue keeps its promises.

INV1: never more live leases and counted answers than a task's overlap. INV2: one counted answer a person and task, two
live leases a person. INV5: a ranking is a total preorder over exactly what was shown.
"""

from contextlib import suppress
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Count, Q
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import Membership
from labeling.access import assignment_for
from labeling.errors import AlreadyAnswered, AssignmentSkipped, BatchFrozen, LeaseEnded
from labeling.models import Assignment, Batch, Ranking, Slot, Tally, Task
from labeling.services.assignment import expire_leases, heartbeat, next_assignment, release
from labeling.services.batches import freeze
from labeling.services.skips import skip
from labeling.services.submissions import submit_ranking
from tests.labeling.factories import ProjectFactory, UserFactory, ranking_batch

PEOPLE = st.integers(0, 3)
PICK = st.randoms(use_true_random=False)


class Queue(RuleBasedStateMachine):
    """Four labelers, five tasks, overlap 2."""

    def __init__(self):
        super().__init__()
        self.project = ProjectFactory()
        self.people = UserFactory.create_batch(4)
        for user in self.people:
            Membership.objects.create(project=self.project, user=user, role="labeler")
        self.batch = ranking_batch(self.project, tasks=5, texts=("a", "b", "a ", "c"), overlap=2)

    def own(self, person, random):
        """Any assignment that this person ever had, loaded as a request would."""
        ids = list(
            Assignment.objects.filter(labeler=self.people[person])
            .order_by("created_at")
            .values_list("pk", flat=True)
        )
        return assignment_for(self.people[person], random.choice(ids)) if ids else None

    @rule(person=PEOPLE, ahead=st.booleans())
    def take(self, person, ahead):
        """Whoever asks while something is free for them gets something."""
        found = next_assignment(project=self.project, labeler=self.people[person], prefetch=ahead)
        if found["assignment"] is None:
            barred = Assignment.objects.filter(labeler=self.people[person]).exclude(
                state__in=["expired", "released"]
            )
            free = Slot.objects.filter(task__batch=self.batch, is_open=True).exclude(
                task__in=barred.values("task")
            )
            assert not free.filter(labeler__isnull=True).exists()

    @rule(person=PEOPLE, random=PICK, ahead=st.booleans())
    def submit(self, person, random, ahead):
        """An answer is counted, late, or a correction; after the freeze it is never a change."""
        assignment = self.own(person, random)
        if assignment is None:
            return
        shown = list(assignment.display_order)
        random.shuffle(shown)
        cut = random.randint(0, len(shown))
        tiers = [shown[:cut], shown[cut:]]
        kinds = ["ranking"] if ahead else None
        try:
            done = submit_ranking(
                assignment=assignment, tiers=tiers, key=uuid4().hex, fingerprint="f" * 64, next_kinds=kinds
            )
        except BatchFrozen:
            assert Batch.objects.get(pk=self.batch.pk).state == "frozen"
        except AssignmentSkipped:
            assert assignment.state == "skipped"
        else:
            assert done.answer["status"] in ("submitted", "late")

    @rule(person=PEOPLE, random=PICK, reason=st.sampled_from(["unclear", "language", "broken"]))
    def skip(self, person, random, reason):
        assignment = self.own(person, random)
        if assignment is not None:
            try:
                skip(assignment=assignment, reason=reason)
            except AlreadyAnswered:
                assert assignment.state in ("submitted", "late")

    @rule(person=PEOPLE, random=PICK)
    def release(self, person, random):
        assignment = self.own(person, random)
        if assignment is not None:
            release(assignment=assignment)

    @rule(person=PEOPLE, random=PICK)
    def beat(self, person, random):
        assignment = self.own(person, random)
        if assignment is not None:
            with suppress(LeaseEnded):
                heartbeat(assignment=assignment, active_ms=10)

    @rule(minutes=st.sampled_from([10, 20, 40]))
    def time_passes(self, minutes):
        with connection.cursor() as cursor:
            for table in ("labeling_slot", "labeling_assignment"):
                cursor.execute(f"UPDATE {table} SET lease_until = lease_until - interval '{minutes} min'")  # noqa: S608

    @rule()
    def reap(self):
        expire_leases()
        over = Slot.objects.filter(is_open=True, labeler__isnull=False)
        assert not over.extra(where=["lease_until < statement_timestamp()"]).exists()

    @precondition(lambda self: self.batch.state == "open")
    @rule(sure=st.integers(0, 9))
    def freeze(self, sure):
        if sure == 0:
            freeze(batch=self.batch)

    @invariant()
    def overlap_is_never_exceeded(self):
        held = Q(slots__answered=True) | Q(slots__labeler__isnull=False)
        over = Task.objects.filter(batch=self.batch).annotate(n=Count("slots", filter=held)).filter(n__gt=2)
        assert not over.exists()
        counted = Q(rankings__is_late=False, rankings__is_latest=True)
        tasks = Task.objects.filter(batch=self.batch).annotate(
            n=Count("rankings", filter=counted, distinct=True),
            answered=Count("slots", filter=Q(slots__answered=True), distinct=True),
        )
        for task in tasks:
            assert task.n == task.answered <= 2
            assert (task.state == "complete") == (task.answered == 2)

    @invariant()
    def slots_and_leases_tell_the_same(self):
        leases = set(
            Assignment.objects.filter(project=self.project, state="leased").values_list("slot", "labeler")
        )
        slots = Slot.objects.filter(project=self.project, labeler__isnull=False, answered=False)
        assert leases == set(slots.values_list("pk", "labeler"))
        assert len(leases) == len({slot for slot, _ in leases})

    @invariant()
    def a_person_holds_two_leases_and_gives_one_answer(self):
        live = (
            Assignment.objects.filter(project=self.project, state="leased")
            .values("labeler")
            .annotate(n=Count("pk"))
        )
        assert all(row["n"] <= 2 for row in live)
        latest = Ranking.objects.filter(project=self.project, is_latest=True)
        assert latest.values("task", "labeler").distinct().count() == latest.count()
        tallies = Tally.objects.filter(batch=self.batch)
        counted = latest.filter(is_late=False)
        assert sum(tallies.values_list("answers", flat=True)) == counted.count()

    @invariant()
    def a_ranking_orders_exactly_what_was_shown(self):
        for ranking in Ranking.objects.filter(project=self.project).prefetch_related("items__candidate"):
            items = ranking.items.all()
            own = {str(item.candidate_id): item.rank for item in items if not item.is_forced}
            assert set(own) == set(ranking.display_order)
            assert set(own.values()) == set(range(1, max(own.values()) + 1))
            for item in items:
                if item.is_forced:
                    assert item.rank == own[str(item.candidate.merged_into_id)]


@pytest.mark.django_db
def test_the_queue_keeps_its_promises():
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
