"""Skips: with a reason, never offered to the same person again; three that call a task broken set it aside."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.db.models.functions import Now

from accounts.events import record
from common.errors import InvalidInput
from common.state_machine import move_rows
from common.text import clean_text
from labeling.errors import AlreadyAnswered
from labeling.models import Assignment, Skip, SkipReason, Slot, Task
from labeling.selectors.payload import NextAssignment
from labeling.services.assignment import check_kinds, give_slot_back, lease_next, retrying
from labeling.services.hand_out import LostRace
from labeling.services.submissions import MAX_NOTE_BYTES
from labeling.states import ASSIGNMENT_MOVES, TASK_MOVES, AssignmentState, TaskState

AGAINST_TASK = (SkipReason.UNCLEAR, SkipReason.BROKEN)
ENOUGH = 3

TALLY = """
INSERT INTO labeling_tally (batch_id, labeler_id, answers, skips) VALUES (%s, %s, 0, 1)
ON CONFLICT (batch_id, labeler_id) DO UPDATE SET skips = labeling_tally.skips + 1
"""


def skip(
    *, assignment: Assignment, reason: str, note: str = "", next_kinds: Sequence[str] | None = None
) -> NextAssignment | None:
    """Pass a task over and give the next one, if asked for. A second time does nothing. Raises AlreadyAnswered."""
    if reason not in SkipReason.values:
        raise InvalidInput(f"reason: expected one of {', '.join(SkipReason.values)}.", code="bad_reason")
    clean_text(note, field="note", max_bytes=MAX_NOTE_BYTES)
    kinds = None if next_kinds is None else check_kinds(next_kinds)

    def act() -> NextAssignment | None:
        _skip(assignment, reason, note)
        if kinds is None:
            return None
        return lease_next(project=assignment.project, labeler=assignment.labeler, kinds=kinds, prefetch=False)

    return retrying(act)


def _skip(assignment: Assignment, reason: str, note: str) -> None:
    # Of three skips at the same moment the third must see the other two.
    task = Task.objects.select_for_update(no_key=True).get(pk=assignment.task_id)
    state = Assignment.objects.values_list("state", flat=True).get(pk=assignment.pk)
    if state == AssignmentState.SKIPPED:
        return
    if state in (AssignmentState.SUBMITTED, AssignmentState.LATE):
        raise AlreadyAnswered
    give_slot_back(assignment)
    mine = Assignment.objects.filter(pk=assignment.pk)
    if not move_rows(mine, AssignmentState.SKIPPED, ASSIGNMENT_MOVES, ended_at=Now()):
        raise LostRace
    Skip.objects.create(
        assignment=assignment, task=task, labeler=assignment.labeler, reason=reason, note=note
    )
    with connection.cursor() as cursor:
        cursor.execute(TALLY, [task.batch_id, assignment.labeler_id])
    facts = {"reason": reason, "task": str(task.pk)}
    record(
        "assignment.skipped",
        subject=assignment,
        actor=assignment.labeler,
        project=assignment.project,
        **facts,
    )
    if reason in AGAINST_TASK:
        _withdraw_if_enough(task, assignment)


def _withdraw_if_enough(task: Task, assignment: Assignment) -> None:
    against = Skip.objects.filter(task=task, reason__in=AGAINST_TASK).count()
    if against < ENOUGH or task.state != TaskState.OPEN:
        return
    Slot.objects.filter(task=task, is_open=True).update(is_open=False, labeler=None, lease_until=None)
    holders = Assignment.objects.filter(task=task)
    move_rows(holders, AssignmentState.EXPIRED, ASSIGNMENT_MOVES, ended_at=Now())
    move_rows(Task.objects.filter(pk=task.pk), TaskState.WITHDRAWN, TASK_MOVES)
    record("task.withdrawn", subject=task, project=assignment.project, skips=against)
