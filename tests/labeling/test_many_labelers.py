"""Thirty-two labelers at once, each with a connection of their own: nothing is handed out or answered twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.db.models import Count, Q

from accounts.models import Membership
from labeling.access import assignment_for
from labeling.models import Assignment, Batch, Ranking, Slot, Task
from labeling.services.assignment import next_assignment
from labeling.services.batches import freeze
from labeling.services.submissions import submit_ranking
from tests.labeling.factories import UserFactory, ranking_batch

pytestmark = pytest.mark.django_db(transaction=True)

LABELERS = 32


@pytest.fixture
def crowd(project):
    users = UserFactory.create_batch(LABELERS)
    Membership.objects.bulk_create([Membership(project=project, user=user, role="labeler") for user in users])
    return users


def together(act, people):
    """Run `act` for each person in a thread of their own, and give back what each returned."""

    def run(person):
        try:
            return act(person)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(people)) as threads:
        return list(threads.map(run, people))


def answer(user, payload, **more):
    assignment = assignment_for(user, payload["id"])
    tiers = [[candidate["id"]] for candidate in payload["candidates"]]
    key = more.pop("key", str(uuid4()))
    return submit_ranking(assignment=assignment, tiers=tiers, key=key, fingerprint="f" * 64, **more)


def test_nothing_is_handed_out_twice(project, crowd):
    ranking_batch(project, tasks=60, overlap=2)

    def take_two(user):
        found = [next_assignment(project=project, labeler=user, prefetch=ahead) for ahead in (False, True)]
        return [one["assignment"]["id"] for one in found if one["assignment"]]

    taken = [one for ids in together(take_two, crowd) for one in ids]
    assert len(taken) == len(set(taken)) == LABELERS * 2
    per_slot = Counter(Assignment.objects.filter(state="leased").values_list("slot", flat=True))
    assert set(per_slot.values()) == {1}
    assert Slot.objects.filter(labeler__isnull=False).count() == LABELERS * 2


def test_every_task_gets_exactly_its_overlap(project, crowd):
    batch = ranking_batch(project, tasks=100, overlap=3)

    def work(user):
        done, following = 0, next_assignment(project=project, labeler=user)
        while payload := following["assignment"]:
            following = answer(user, payload, next_kinds=["ranking"]).next
            done += 1
        return done

    together(work, crowd)
    while Slot.objects.filter(is_open=True).exists():  # whoever met only locked rows was told to come again
        assert sum(together(work, crowd)) > 0
    answers = Task.objects.annotate(n=Count("rankings")).values_list("n", flat=True)
    assert set(answers) == {3}
    assert set(Task.objects.values_list("state", flat=True)) == {"complete"}
    assert Ranking.objects.values("task", "labeler").distinct().count() == Ranking.objects.count() == 300
    assert not Ranking.objects.filter(is_late=True).exists()
    assert sum(batch.tallies.values_list("answers", flat=True)) == 300


def test_one_person_in_many_tabs_holds_two_leases(project, crowd):
    ranking_batch(project, tasks=40)
    user = crowd[0]
    together(lambda ahead: next_assignment(project=project, labeler=user, prefetch=ahead), [True, False] * 12)
    assert 1 <= Assignment.objects.filter(labeler=user, state="leased").count() <= 2


def test_one_request_sent_many_times_is_one_answer(project, crowd):
    ranking_batch(project)
    user = crowd[0]
    payload = next_assignment(project=project, labeler=user)["assignment"]
    found = together(lambda _: answer(user, payload, key="the-same-key"), range(12))
    assert len({one.answer["id"] for one in found}) == 1
    assert [one.is_replay for one in found].count(False) == 1
    assert Ranking.objects.count() == 1


def test_a_freeze_in_the_middle_neither_deadlocks_nor_loses(project, crowd):
    batch = ranking_batch(project, tasks=64)
    held = {user: next_assignment(project=project, labeler=user)["assignment"] for user in crowd}

    def act(user):
        if user is None:
            return freeze(batch=Batch.objects.get(pk=batch.pk)).state
        return answer(user, held[user], next_kinds=["ranking"]).answer["status"]

    said = together(act, [*crowd[:16], None, *crowd[16:]])
    assert said[16] == "frozen"
    counted = Ranking.objects.aggregate(late=Count("pk", Q(is_late=True)), good=Count("pk", Q(is_late=False)))
    assert counted["late"] + counted["good"] == LABELERS
    assert (counted["late"], counted["good"]) == (said.count("late"), said.count("submitted"))
    assert not Slot.objects.filter(is_open=True).exists()
    assert not Assignment.objects.filter(state="leased").exists()
    assert Slot.objects.filter(answered=True).count() == counted["good"]


def test_leases_that_end_while_their_labelers_submit_do_not_deadlock(project, crowd):
    ranking_batch(project, tasks=16)
    first, second = crowd[:16], crowd[16:]
    held = {user: next_assignment(project=project, labeler=user)["assignment"] for user in first}
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE labeling_slot SET lease_until = now() - interval '1 s' WHERE labeler_id IS NOT NULL"
        )

    def act(user):
        if user in held:
            return answer(user, held[user]).answer["status"]
        return "taken" if next_assignment(project=project, labeler=user)["assignment"] else "nothing"

    said = Counter(together(act, [user for pair in zip(first, second, strict=True) for user in pair]))
    assert said["submitted"] + said["late"] == 16
    assert said["late"] <= said["taken"]
    assert Slot.objects.filter(answered=True).count() == said["submitted"]
    assert Assignment.objects.filter(state="leased").count() == said["taken"]
