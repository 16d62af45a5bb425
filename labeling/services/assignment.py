"""Leases: the next task, its heartbeat, its release, its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models.functions import Now
from psycopg.errors import DeadlockDetected, SerializationFailure

from accounts.events import record
from accounts.models import Project, User
from common.errors import InvalidInput
from common.state_machine import move_rows
from labeling.errors import LeaseEnded
from labeling.models import Assignment, Slot, TaskKind
from labeling.selectors.payload import NextAssignment, assignment_payload, why_empty
from labeling.services.hand_out import LEASES, LostRace, hand_out
from labeling.states import ASSIGNMENT_MOVES, AssignmentState

ATTEMPTS = 4
MAX_RENEWALS = 4

# What stops two tabs of one labeler from taking more than they may; the loser asks again.
RACES = {
    "one_live_lease_per_seat",
    "one_live_lease_per_slot",
    "one_slot_per_task_and_labeler",
    "one_assignment_per_task_and_labeler",
}

T = TypeVar("T")


def retrying(act: Callable[[], T]) -> T:
    """Run `act`, a whole transaction, again where another transaction of the same moment won."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return act()
        except (LostRace, IntegrityError, OperationalError) as error:
            if attempt == ATTEMPTS or not _lost_race(error):
                raise
    raise AssertionError("the last attempt returns or raises")


def _lost_race(error: Exception) -> bool:
    if isinstance(error, LostRace) or isinstance(error.__cause__, DeadlockDetected | SerializationFailure):
        return True
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    return constraint in RACES


def next_assignment(
    *, project: Project, labeler: User, kinds: Sequence[str] | None = None, prefetch: bool = False
) -> NextAssignment:
    """The task to do now: the one held already, or one leased for it; with `prefetch`, one besides the open one.

    `kinds` are tried in their order (default: all). Two leases at most; asking for more returns what is held.
    """
    wanted = check_kinds(kinds)
    return retrying(lambda: lease_next(project=project, labeler=labeler, kinds=wanted, prefetch=prefetch))


def check_kinds(kinds: Sequence[str] | None) -> list[str]:
    """`kinds` without repetitions; all kinds for None or nothing. Raises InvalidInput for an unknown one."""
    wanted = list(dict.fromkeys(kinds or TaskKind.values))
    if unknown := [kind for kind in wanted if kind not in TaskKind.values]:
        raise InvalidInput(
            f"kinds: {unknown[0][:40]} is no kind of task. Known: {', '.join(TaskKind.values)}."
        )
    return wanted


def lease_next(*, project: Project, labeler: User, kinds: list[str], prefetch: bool) -> NextAssignment:
    """The transaction of `next_assignment`, for callers that are inside one (a submit). Run it by `retrying`."""
    out = hand_out(project=project, labeler=labeler, kinds=kinds, prefetch=prefetch)
    if out.ended:
        record("assignment.expired", subject=Assignment(pk=out.ended), project=project)
    if out.leased:
        record("assignment.leased", subject=Assignment(pk=out.leased), actor=labeler, project=project)
    found = out.leased or out.held
    if found is None:
        return {"assignment": None, "empty": why_empty(project.pk, labeler.pk, kinds)}
    payload = assignment_payload(found)
    if out.held and payload["seconds_left"] <= 0:
        # Nobody took it meanwhile, so whoever comes back goes on where they were.
        _lease_again(Assignment(pk=found, kind=payload["kind"]), labeler, project)
        payload = assignment_payload(found)
    return {"assignment": payload, "empty": None}


LEASE_AGAIN = """
WITH taken AS (
    UPDATE labeling_slot s SET lease_until = statement_timestamp() + %(lease)s
    FROM labeling_assignment a
    WHERE a.id = %(id)s AND a.state = 'leased' AND s.id = a.slot_id AND s.labeler_id = %(labeler)s AND s.is_open
    RETURNING s.lease_until
)
UPDATE labeling_assignment SET lease_until = (SELECT lease_until FROM taken), leased_at = statement_timestamp(), renewals = 0
WHERE id = %(id)s AND state = 'leased' AND EXISTS (SELECT FROM taken)
"""


def _lease_again(assignment: Assignment, labeler: User, project: Project) -> None:
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "id": assignment.pk,
            "labeler": labeler.pk,
            "lease": LEASES[assignment.kind],
        }
        cursor.execute(LEASE_AGAIN, values)
        if cursor.rowcount != 1:
            raise LostRace
    record("assignment.leased", subject=assignment, actor=labeler, project=project)


# `active_ms` is the client's total for this assignment: sending it twice changes nothing, and it never exceeds the
# time since the task was first opened. A lease is renewed when less than half of it is left, so that heartbeats every
# 15 s do not use up the renewals within a minute.
HEARTBEAT = """
WITH renewed AS (
    UPDATE labeling_slot s SET lease_until = statement_timestamp() + %(lease)s
    FROM labeling_assignment a
    WHERE a.id = %(id)s AND a.state = 'leased' AND a.renewals < %(most)s
      AND s.id = a.slot_id AND s.labeler_id = a.labeler_id AND s.is_open
      AND s.lease_until < statement_timestamp() + %(lease)s / 2
    RETURNING s.lease_until
)
UPDATE labeling_assignment a SET
    active_ms = GREATEST(a.active_ms, LEAST(%(active)s, extract(epoch FROM statement_timestamp() - a.created_at) * 1000)),
    lease_until = COALESCE((SELECT lease_until FROM renewed), a.lease_until),
    renewals = a.renewals + (SELECT count(*) FROM renewed)
WHERE a.id = %(id)s AND a.state = 'leased'
RETURNING a.lease_until, a.lease_until < statement_timestamp(), (SELECT count(*) FROM renewed)
"""


@transaction.atomic
def heartbeat(*, assignment: Assignment, active_ms: int = 0) -> datetime:
    """Somebody is at work: count the time, renew the lease (MAX_RENEWALS times). Raises LeaseEnded."""
    values: dict[str, Any] = {
        "id": assignment.pk,
        "lease": LEASES[assignment.kind],
        "most": MAX_RENEWALS,
        "active": max(0, active_ms),
    }
    with connection.cursor() as cursor:
        cursor.execute(HEARTBEAT, values)
        row = cursor.fetchone()
    if row is None or row[1]:
        raise LeaseEnded
    if row[2]:
        record("assignment.renewed", subject=assignment, actor=assignment.labeler, project=assignment.project)
    until: datetime = row[0]
    return until


@transaction.atomic
def release(*, assignment: Assignment) -> None:
    """Give the task back; the draft stays, and the task may come again. Nothing happens if it is not held any more."""
    give_slot_back(assignment)
    mine = Assignment.objects.filter(pk=assignment.pk)
    given = move_rows(mine, AssignmentState.RELEASED, ASSIGNMENT_MOVES, ended_at=Now())
    if given:
        record(
            "assignment.released", subject=assignment, actor=assignment.labeler, project=assignment.project
        )


def give_slot_back(assignment: Assignment) -> None:
    """Free the slot that the labeler holds in this task, if any."""
    held = Slot.objects.filter(task_id=assignment.task_id, labeler_id=assignment.labeler_id, answered=False)
    held.update(labeler=None, lease_until=None)


EXPIRE = """
WITH over AS (
    SELECT id FROM labeling_slot
    WHERE is_open AND labeler_id IS NOT NULL AND lease_until < statement_timestamp()
    ORDER BY lease_until LIMIT %s FOR UPDATE SKIP LOCKED
), freed AS (
    UPDATE labeling_slot s SET labeler_id = NULL, lease_until = NULL FROM over WHERE s.id = over.id RETURNING s.id
)
UPDATE labeling_assignment a SET state = 'expired', ended_at = statement_timestamp()
FROM freed WHERE a.slot_id = freed.id AND a.state = 'leased'
RETURNING a.id, a.project_id
"""


@transaction.atomic
def expire_leases(*, at_most: int = 500) -> int:
    """End leases whose time is over: how many. The hand-out does not wait for this; the lists of people do."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE, [at_most])
        ended = cursor.fetchall()
    for assignment_id, project_id in ended:
        record("assignment.expired", subject=Assignment(pk=assignment_id), project=Project(pk=project_id))
    return len(ended)
