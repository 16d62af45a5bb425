"""The statements around a submission: lock what it closes, close it, count it.

Locks are always taken in the order batch, task, slot, assignment, so that submits, skips, hand-outs and a freeze can
wait for each other but never in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from common.errors import NotFound
from labeling.models import Assignment
from labeling.states import AssignmentState, BatchState

# The batch is locked for share: answers do not wait for each other, only a freeze waits for them and they for it.
HELD = """
SELECT b.state, s.id, s.answered,
    (SELECT m.pool FROM accounts_membership m WHERE m.project_id = t.project_id AND m.user_id = %(labeler)s)
FROM labeling_batch b JOIN labeling_task t ON t.batch_id = b.id JOIN labeling_slot s ON s.task_id = t.id
WHERE t.id = %(task)s AND s.labeler_id = %(labeler)s
FOR SHARE OF b FOR NO KEY UPDATE OF t FOR UPDATE OF s
"""
NOT_HELD = """
SELECT b.state,
    (SELECT m.pool FROM accounts_membership m WHERE m.project_id = t.project_id AND m.user_id = %(labeler)s)
FROM labeling_batch b JOIN labeling_task t ON t.batch_id = b.id
WHERE t.id = %(task)s FOR SHARE OF b FOR NO KEY UPDATE OF t
"""
STILL_FREE = """
SELECT s.id FROM labeling_slot s
WHERE s.task_id = %(task)s AND s.is_open AND (s.labeler_id IS NULL OR s.lease_until < statement_timestamp())
ORDER BY s.number LIMIT 1 FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer goes. `slot` None: there is no room any more, it is late."""

    batch_open: bool
    slot: int | None
    answered: bool  # by this labeler before: the new one is a correction
    pool: str
    state: str  # of the assignment


def lock_place(assignment: Assignment) -> Place:
    """Lock the labeler's place in the task: the slot held, else any that is free, else none. Inside a transaction."""
    asked = {"task": assignment.task_id, "labeler": assignment.labeler_id}
    with connection.cursor() as cursor:
        cursor.execute(HELD, asked)
        if row := cursor.fetchone():
            held = AssignmentState.SUBMITTED if row[2] else AssignmentState.LEASED
            return Place(row[0] == BatchState.OPEN, row[1], answered=row[2], pool=_pool(row[3]), state=held)
        cursor.execute(NOT_HELD, asked)
        batch_state, pool = cursor.fetchone()
        state = Assignment.objects.values_list("state", flat=True).get(pk=assignment.pk)
        answered = state in (AssignmentState.SUBMITTED, AssignmentState.LATE)
        free = None
        if not answered and state != AssignmentState.SKIPPED:
            cursor.execute(STILL_FREE, asked)
            free = cursor.fetchone()
        slot = free[0] if free else None
        return Place(batch_state == BatchState.OPEN, slot, answered=answered, pool=_pool(pool), state=state)


def _pool(found: str | None) -> str:
    if found is None:
        raise NotFound("You left this project meanwhile.")
    return found


CLOSE = """
WITH ended AS (
    -- The slot may stand on another's lease that is over.
    UPDATE labeling_assignment SET state = 'expired', ended_at = statement_timestamp()
    WHERE slot_id = %(slot)s AND state = 'leased' AND id <> %(id)s RETURNING id
), closed AS (
    UPDATE labeling_slot SET answered = true, is_open = false, labeler_id = %(labeler)s, lease_until = NULL
    WHERE id = %(slot)s
), done AS (
    UPDATE labeling_assignment a SET
        state = %(state)s, slot_id = COALESCE(%(slot)s, a.slot_id), ended_at = statement_timestamp(),
        active_ms = GREATEST(a.active_ms,
            LEAST(%(active)s, extract(epoch FROM statement_timestamp() - a.created_at) * 1000))
    WHERE a.id = %(id)s AND a.state IN ('leased', 'expired', 'released') RETURNING a.active_ms
), counted AS (
    INSERT INTO labeling_tally (batch_id, labeler_id, answers, skips)
    SELECT t.batch_id, %(labeler)s, 1, 0 FROM labeling_task t WHERE t.id = %(task)s AND %(slot)s IS NOT NULL
    ON CONFLICT (batch_id, labeler_id) DO UPDATE SET answers = labeling_tally.answers + 1
), forgotten AS (
    DELETE FROM labeling_draft WHERE assignment_id = %(id)s
), completed AS (
    UPDATE labeling_task SET state = 'complete'
    WHERE id = %(task)s AND state = 'open' AND %(slot)s IS NOT NULL
      AND NOT EXISTS (SELECT FROM labeling_slot o WHERE o.task_id = %(task)s AND o.id <> %(slot)s AND NOT o.answered)
    RETURNING id
)
SELECT (SELECT active_ms FROM done), EXISTS (SELECT FROM completed), (SELECT id FROM ended)
"""


def close_place(
    assignment: Assignment, place: Place, *, active_ms: int
) -> tuple[int | None, bool, UUID | None]:
    """End the assignment as submitted (or late), count it, forget the draft.

    Gives the assignment's active_ms (None if it moved meanwhile: roll back), whether the task is complete (it is
    locked, so of two last answers the second sees the first), and whose ended lease the place was taken from.
    """
    values: dict[str, Any] = {
        "id": assignment.pk,
        "task": assignment.task_id,
        "labeler": assignment.labeler_id,
        "slot": place.slot,
        "state": AssignmentState.LATE if place.slot is None else AssignmentState.SUBMITTED,
        "active": active_ms,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, values)
        row: tuple[int | None, bool, UUID | None] = cursor.fetchone()
    return row


CORRECTED = """
WITH forgotten AS (DELETE FROM labeling_draft WHERE assignment_id = %(id)s)
UPDATE labeling_assignment a SET active_ms = GREATEST(a.active_ms,
    LEAST(%(active)s, extract(epoch FROM statement_timestamp() - a.created_at) * 1000))
WHERE a.id = %(id)s RETURNING a.active_ms
"""


def note_correction(assignment: Assignment, *, active_ms: int) -> int:
    """Add the time spent on a correction and forget its draft: the assignment's active_ms."""
    with connection.cursor() as cursor:
        cursor.execute(CORRECTED, {"id": assignment.pk, "active": active_ms})
        (total,) = cursor.fetchone()
    return int(total)


# Texts that were shown once because they are identical get the rank of the one that was shown.
RANK = """
INSERT INTO labeling_rankeditem (ranking_id, candidate_id, rank, likert, is_forced)
SELECT %(ranking)s, c.id, given.rank, given.likert, c.merged_into_id IS NOT NULL
FROM labeling_candidate c
JOIN unnest(%(ids)s::uuid[], %(ranks)s::smallint[], %(likert)s::smallint[]) AS given(id, rank, likert)
  ON given.id = COALESCE(c.merged_into_id, c.id)
WHERE c.task_id = %(task)s
"""


def write_items(ranking_id: UUID, task_id: UUID, ranks: dict[str, int], likert: dict[str, int]) -> None:
    """The rows of a ranking, forced ties included."""
    values: dict[str, Any] = {
        "ranking": ranking_id,
        "task": task_id,
        "ids": list(ranks),
        "ranks": list(ranks.values()),
        "likert": [likert.get(candidate) for candidate in ranks],
    }
    with connection.cursor() as cursor:
        cursor.execute(RANK, values)
