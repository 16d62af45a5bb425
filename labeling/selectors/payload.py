"""What a labeler sees of a task: one query, and nothing that tells which model wrote what."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

import orjson
from django.db import connection

from labeling.identity import Message


class AssignmentPrompt(TypedDict):
    """What was asked."""

    messages: list[Message]
    tags: list[str]


class AssignmentCandidate(TypedDict):
    """One text to judge. No model, round, temperature, log-probability or completion id: judging is blind."""

    id: str
    text: str
    tokens: int | None
    cut: bool
    duplicates: int


class AssignmentDraft(TypedDict):
    """The unsent answer; `revision` is its ETag."""

    content: dict[str, Any]
    revision: int
    saved_at: str


class AssignmentProgress(TypedDict):
    """Counted answers in the batch: one's own, everybody's, wanted."""

    mine: int
    done: int
    quota: int


class AssignmentBatch(TypedDict):
    """What the task belongs to."""

    title: str


class AssignmentPayload(TypedDict):
    """A task as its labeler sees it; candidates in the order shown."""

    id: UUID
    state: str
    kind: str
    lease_until: datetime
    seconds_left: int
    created_at: datetime
    guideline_version: int
    prompt: AssignmentPrompt
    max_completion_tokens: int
    allow_ties: bool
    batch: AssignmentBatch
    draft: AssignmentDraft | None
    progress: AssignmentProgress
    candidates: list[AssignmentCandidate]
    answer: dict[str, Any] | None


class Empty(TypedDict):
    """Why there is nothing to do, and when to ask again."""

    reason: Literal["no_open_tasks", "all_leased", "all_done_by_you"]
    retry_after_s: int | None
    detail: str


class NextAssignment(TypedDict):
    """The next task, or why there is none."""

    assignment: AssignmentPayload | None
    empty: Empty | None


PAYLOAD = """
SELECT a.id, a.state, a.kind, a.lease_until,
    GREATEST(0, extract(epoch FROM a.lease_until - statement_timestamp()))::int,
    a.created_at, a.guideline_version, b.max_completion_tokens, b.allow_ties, b.title, b.quota,
    jsonb_build_object('messages', p.messages, 'tags', p.tags),
    (SELECT jsonb_build_object('content', d.content, 'revision', d.revision, 'saved_at', d.saved_at)
     FROM labeling_draft d WHERE d.assignment_id = a.id),
    COALESCE((SELECT answers FROM labeling_tally y WHERE y.batch_id = b.id AND y.labeler_id = a.labeler_id), 0),
    COALESCE((SELECT sum(answers) FROM labeling_tally y WHERE y.batch_id = b.id), 0)::int,
    COALESCE((
        SELECT jsonb_agg(jsonb_build_object(
            'id', c.id,
            'text', m.text,
            'tokens', CASE jsonb_typeof(m.token_ids) WHEN 'array' THEN jsonb_array_length(m.token_ids) END,
            'cut', m.finish_reason = 'length',
            'duplicates', (SELECT count(*) FROM labeling_candidate e WHERE e.merged_into_id = c.id)
        ) ORDER BY shown.place)
        FROM jsonb_array_elements_text(a.display_order) WITH ORDINALITY AS shown(id, place)
        JOIN labeling_candidate c ON c.id = shown.id::uuid
        JOIN inference_completion m ON m.id = c.completion_id
    ), '[]')
FROM labeling_assignment a
JOIN labeling_task t ON t.id = a.task_id
JOIN labeling_batch b ON b.id = t.batch_id
JOIN labeling_prompt p ON p.id = t.prompt_id
WHERE a.id = %s
"""


def assignment_payload(assignment_id: UUID) -> AssignmentPayload:
    """The assignment as its labeler sees it, without the answer. Whose it is was decided before."""
    with connection.cursor() as cursor:
        cursor.execute(PAYLOAD, [assignment_id])
        row = cursor.fetchone()
    prompt, draft, candidates = row[11], row[12], row[15]
    return AssignmentPayload(
        id=row[0],
        state=row[1],
        kind=row[2],
        lease_until=row[3],
        seconds_left=row[4],
        created_at=row[5],
        guideline_version=row[6],
        prompt=orjson.loads(prompt),
        max_completion_tokens=row[7],
        allow_ties=row[8],
        batch={"title": row[9]},
        draft=None if draft is None else orjson.loads(draft),
        progress={"mine": row[13], "done": row[14], "quota": row[10]},
        candidates=orjson.loads(candidates),
        answer=None,
    )


# A task is "for you" if no answer, skip or live lease of yours bars it; see services/hand_out.py.
WHY_EMPTY = """
WITH others AS MATERIALIZED (
    SELECT s.lease_until FROM labeling_slot s
    WHERE s.project_id = %(project)s AND s.kind = ANY(%(kinds)s) AND s.is_open
      AND s.labeler_id IS NOT NULL AND s.labeler_id <> %(labeler)s
      AND NOT EXISTS (SELECT FROM labeling_assignment b WHERE b.task_id = s.task_id AND b.labeler_id = %(labeler)s
                      AND b.state NOT IN ('expired', 'released') OFFSET 0)
)
SELECT (SELECT count(*) FROM others),
    (SELECT extract(epoch FROM min(lease_until) - statement_timestamp())::int FROM others),
    EXISTS (SELECT FROM labeling_slot s WHERE s.project_id = %(project)s AND s.kind = ANY(%(kinds)s) AND s.is_open)
"""


def why_empty(project_id: UUID, labeler_id: UUID, kinds: list[str]) -> Empty:
    """The reason for an empty hand-out: nothing open, everything with others, or all done by this labeler."""
    with connection.cursor() as cursor:
        cursor.execute(WHY_EMPTY, {"project": project_id, "labeler": labeler_id, "kinds": kinds})
        leased, seconds, any_open = cursor.fetchone()
    if leased:
        wait = min(max(seconds, 5), 3600)
        detail = f"{leased} tasks are with other labelers; the next may come free in {-(-wait // 60)} min."
        return {"reason": "all_leased", "retry_after_s": wait, "detail": detail}
    if any_open:
        detail = "You have done or skipped every task that is open; others have still to give theirs."
        return {"reason": "all_done_by_you", "retry_after_s": 60, "detail": detail}
    detail = "No tasks are open now. New ones come when a round asks for them."
    return {"reason": "no_open_tasks", "retry_after_s": 60, "detail": detail}
