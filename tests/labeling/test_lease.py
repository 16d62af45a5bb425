"""Heartbeat, release and skip."""

import pytest

from accounts.models import Event
from labeling.models import Assignment, Slot, Tally, Task
from tests.labeling.factories import UserFactory, ranking_batch


@pytest.fixture
def me(works, project, ana):
    ranking_batch(project, tasks=2)
    return works(ana)


def state(task):
    return Assignment.objects.get(pk=task["id"]).state


# Heartbeat.


def test_a_heartbeat_counts_time_and_keeps_a_long_lease(me, clock):
    task = me.take()
    clock.advance(minutes=2)
    before = Assignment.objects.get(pk=task["id"]).lease_until
    assert me.post(task, "heartbeat", {"active_ms": 60_000}).status_code == 200
    after = Assignment.objects.get(pk=task["id"])
    assert (after.active_ms, after.lease_until, after.renewals) == (60_000, before, 0)


def test_time_never_exceeds_the_clock_and_never_shrinks(me, clock):
    task = me.take()
    clock.advance(minutes=1)
    me.post(task, "heartbeat", {"active_ms": 9_000_000})
    counted = Assignment.objects.get(pk=task["id"]).active_ms
    assert 60_000 <= counted < 70_000
    me.post(task, "heartbeat", {"active_ms": 5})
    assert Assignment.objects.get(pk=task["id"]).active_ms == counted


def test_a_short_lease_is_renewed_four_times(me, clock):
    task = me.take()
    for renewal in range(1, 5):
        clock.advance(minutes=20)
        assert me.post(task, "heartbeat", {"active_ms": 0}).status_code == 200
        now = Assignment.objects.get(pk=task["id"])
        assert now.renewals == renewal
        assert now.lease_until == Slot.objects.get(labeler__isnull=False).lease_until
    clock.advance(minutes=31)
    ended = me.post(task, "heartbeat", {"active_ms": 0})
    assert (ended.status_code, ended.json()["code"]) == (409, "lease_ended")
    assert Event.objects.filter(kind="assignment.renewed").count() == 4


def test_a_heartbeat_that_comes_late_renews_what_nobody_took(me, clock):
    task = me.take()
    clock.advance(minutes=31)
    assert me.post(task, "heartbeat", {"active_ms": 0}).status_code == 200


def test_a_heartbeat_of_a_lease_that_somebody_took_is_refused(me, works, project, ana, ben, clock):
    task = me.take()
    me.take(prefetch=True)
    clock.advance(minutes=31)
    works(ben).take()
    works(ben).take(prefetch=True)
    assert me.post(task, "heartbeat", {"active_ms": 0}).status_code == 409


# Release.


def test_a_released_task_is_free_for_others_and_for_oneself(me, works, ben):
    task = me.take()
    me.save(task, {"text": "a"}, **{"If-None-Match": "*"})
    assert me.post(task, "release").status_code == 204
    assert state(task) == "released"
    assert not Slot.objects.filter(labeler__isnull=False).exists()
    taken = {works(ben).take()["id"], works(ben).take(prefetch=True)["id"]}
    assert len(taken) == 2


def test_a_second_release_does_nothing(me):
    task = me.take()
    assert me.post(task, "release").status_code == me.post(task, "release").status_code == 204
    assert Event.objects.filter(kind="assignment.released").count() == 1


def test_a_release_after_the_answer_does_nothing(me):
    task = me.take()
    me.rank(task)
    assert me.post(task, "release").status_code == 204
    assert state(task) == "submitted"
    assert Slot.objects.filter(answered=True, labeler__isnull=False).count() == 1


def test_a_released_task_may_come_again_with_its_id(works, project, ana):
    ranking_batch(project)
    me = works(ana)
    task = me.take()
    me.post(task, "release")
    assert me.take()["id"] == task["id"]


# Skip.


def test_a_skipped_task_never_comes_again(me):
    task = me.take()
    answer = me.post(task, "skip", {"reason": "expertise", "note": " why ", "next": {}})
    assert answer.status_code == 200
    following = answer.json()["next"]["assignment"]
    assert following["id"] != task["id"]
    me.rank(following)
    assert me.next().json()["empty"]["reason"] == "all_done_by_you"
    assert state(task) == "skipped"
    assert Tally.objects.get().skips == 1


def test_a_second_skip_does_nothing(me):
    task = me.take()
    for _ in range(2):
        assert me.post(task, "skip", {"reason": "unclear"}).status_code == 200
    assert Tally.objects.get().skips == 1
    assert Event.objects.filter(kind="assignment.skipped").count() == 1


def test_a_reason_is_required(me):
    answer = me.post(me.take(), "skip", {"reason": "bored"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "reason")


def test_what_was_answered_cannot_be_skipped(me):
    task = me.take()
    me.rank(task)
    answer = me.post(task, "skip", {"reason": "unclear"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_answered")


def test_what_was_skipped_cannot_be_answered(me):
    task = me.take()
    me.post(task, "skip", {"reason": "unclear"})
    answer = me.rank(task)
    assert (answer.status_code, answer.json()["code"]) == (409, "assignment_skipped")


@pytest.mark.parametrize(("reason", "withdrawn"), [("broken", True), ("unclear", True), ("language", False)])
def test_three_who_call_it_broken_set_it_aside(works, project, reason, withdrawn):
    ranking_batch(project)
    for _ in range(3):
        user = UserFactory()
        project.memberships.create(user=user, role="labeler")
        me = works(user)
        me.post(me.take(), "skip", {"reason": reason})
    assert Task.objects.get().state == ("withdrawn" if withdrawn else "open")
    assert Slot.objects.get().is_open is not withdrawn
    assert Event.objects.filter(kind="task.withdrawn").exists() is withdrawn


@pytest.mark.parametrize("what", ["skip", "release", "heartbeat", "submit"])
@pytest.mark.parametrize("who", ["ben", "eva", "zoe"])
def test_nobody_acts_for_somebody_else(request, me, works, what, who):
    task = me.take()
    body = {"skip": {"reason": "unclear"}, "heartbeat": {"active_ms": 0}, "submit": {"text": "x"}}.get(what)
    answer = works(request.getfixturevalue(who)).post(task, what, body, **{"Idempotency-Key": "k" * 8})
    assert answer.status_code == 404
    assert state(task) == "leased"


def test_who_left_the_project_may_do_nothing(me, project, ana):
    task = me.take()
    project.memberships.filter(user=ana).delete()
    assert me.rank(task).status_code == me.get(task).status_code == me.next().status_code == 404
