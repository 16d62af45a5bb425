"""Answers: submitted once under a key, corrected as revisions, late ones kept; and skips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import UUID

from django.db import IntegrityError, connection
from django.db.models import Max

from accounts.events import record
from common.errors import FieldError, InvalidInput, KeyReused
from common.text import MAX_TEXT_BYTES, clean_text
from common.wake import project_channel, wake
from labeling.errors import AssignmentSkipped, BatchFrozen, TextEmpty, TextTooLong, WrongKind
from labeling.models import Assignment, Demonstration, Ranking, TaskKind
from labeling.selectors.payload import NextAssignment
from labeling.services.assignment import check_kinds, lease_next, retrying
from labeling.services.closing import Place, close_place, lock_place, note_correction, write_items
from labeling.services.hand_out import LostRace
from labeling.states import AssignmentState
from labeling.tiers import ranks_of

MAX_NOTE_BYTES = 10_000
Answer = Demonstration | Ranking


class AnswerReceipt(TypedDict):
    """What became of a submission."""

    id: UUID
    status: str
    revision: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """The receipt and the next task (None if none was asked for). `is_replay`: the key was used before."""

    answer: AnswerReceipt
    next: NextAssignment | None
    is_replay: bool


def submit_demonstration(
    *,
    assignment: Assignment,
    text: str,
    note: str = "",
    active_ms: int = 0,
    key: str,
    fingerprint: str,
    next_kinds: Sequence[str] | None = None,
) -> Submitted:
    """Store what the labeler wrote, exactly. Raises TextEmpty, TextTooLong, BadText, and what `_submit` raises."""
    if assignment.kind != TaskKind.DEMONSTRATION:
        raise WrongKind(f"This is a {assignment.kind} task: send tiers, not a text.")
    if not text.strip():
        raise TextEmpty
    if len(text.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
        raise TextTooLong
    clean_text(text, field="text")

    def store(common: dict[str, Any]) -> Answer:
        return Demonstration.objects.create(text=text, **common)

    common = _Common(
        assignment, clean_text(note, field="note", max_bytes=MAX_NOTE_BYTES), active_ms, key, fingerprint
    )
    return _submit(common, store, next_kinds)


def submit_ranking(
    *,
    assignment: Assignment,
    tiers: Sequence[Sequence[str]],
    likert: Mapping[str, int] | None = None,
    confidence: int | None = None,
    note: str = "",
    active_ms: int = 0,
    key: str,
    fingerprint: str,
    next_kinds: Sequence[str] | None = None,
) -> Submitted:
    """Store an order of exactly the shown candidates, best tier first. Raises the errors of `ranks_of` and `_submit`."""
    if assignment.kind == TaskKind.DEMONSTRATION:
        raise WrongKind("This is a demonstration task: send a text, not tiers.")
    shown = assignment.display_order
    ranks = ranks_of(tiers, shown, allow_ties=assignment.task.batch.allow_ties)
    scores = _check_likert(likert or {}, shown)

    def store(common: dict[str, Any]) -> Answer:
        ranking = Ranking.objects.create(display_order=shown, confidence=confidence, **common)
        write_items(ranking.pk, assignment.task_id, ranks, scores)
        return ranking

    common = _Common(
        assignment, clean_text(note, field="note", max_bytes=MAX_NOTE_BYTES), active_ms, key, fingerprint
    )
    return _submit(common, store, next_kinds)


@dataclass(frozen=True, slots=True)
class _Common:
    assignment: Assignment
    note: str
    active_ms: int
    key: str
    fingerprint: str


def _check_likert(likert: Mapping[str, int], shown: Sequence[str]) -> dict[str, int]:
    errors = [
        FieldError(f"likert.{candidate[:60]}", "bad_likert", "likert: 1 to 7 for candidates of this task.")
        for candidate, score in likert.items()
        if candidate not in shown or not 1 <= score <= 7
    ]
    if errors:
        raise InvalidInput(errors[0].message, errors=errors)
    return dict(likert)


def _submit(
    common: _Common, store: Callable[[dict[str, Any]], Answer], next_kinds: Sequence[str] | None
) -> Submitted:
    """Replay a known key, else store in one transaction that also leases the next task.

    Raises KeyReused, BatchFrozen (a correction that came too late) or AssignmentSkipped.
    """
    kinds = None if next_kinds is None else check_kinds(next_kinds)
    if known := _known(common):
        return _with_next(common, known, kinds)
    try:
        return retrying(lambda: _store(common, store, kinds))
    except IntegrityError:
        # The same request came twice at the same moment, and the other one was first.
        if known := _known(common):
            return _with_next(common, known, kinds)
        raise


# A key is good for one answer of whatever kind.
KNOWN = """
SELECT id, revision, is_late, body_sha256 FROM labeling_ranking WHERE labeler_id = %(labeler)s AND idempotency_key = %(key)s
UNION ALL
SELECT id, revision, is_late, body_sha256 FROM labeling_demonstration
WHERE labeler_id = %(labeler)s AND idempotency_key = %(key)s
"""


def _known(common: _Common) -> AnswerReceipt | None:
    """The answer that this key made before. Raises KeyReused if it was for another body."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"labeler": common.assignment.labeler_id, "key": common.key})
        found = cursor.fetchone()
    if found is None:
        return None
    if found[3] != common.fingerprint:
        raise KeyReused
    return _receipt(found[0], found[1], is_late=found[2])


def _receipt(answer_id: UUID, revision: int, *, is_late: bool) -> AnswerReceipt:
    status = AssignmentState.LATE if is_late else AssignmentState.SUBMITTED
    return {"id": answer_id, "status": str(status), "revision": revision}


def _with_next(common: _Common, known: AnswerReceipt, kinds: list[str] | None) -> Submitted:
    following = retrying(lambda: _next(common.assignment, kinds)) if kinds is not None else None
    return Submitted(known, following, is_replay=True)


def _next(assignment: Assignment, kinds: list[str] | None) -> NextAssignment | None:
    if kinds is None:
        return None
    return lease_next(project=assignment.project, labeler=assignment.labeler, kinds=kinds, prefetch=False)


def _store(common: _Common, store: Callable[[dict[str, Any]], Answer], kinds: list[str] | None) -> Submitted:
    place = lock_place(common.assignment)
    if place.state == AssignmentState.SKIPPED:
        raise AssignmentSkipped
    if place.answered:
        answer, complete = _correct(common, place, store), False
    else:
        active_ms, complete, ended = close_place(common.assignment, place, active_ms=common.active_ms)
        if active_ms is None:
            raise LostRace
        if ended:
            record("assignment.expired", subject=Assignment(pk=ended), project=common.assignment.project)
        answer = store(_columns(common, place, revision=1, active_ms=active_ms, is_late=place.slot is None))
    _record(answer, common.assignment, complete=complete)
    receipt = _receipt(answer.pk, answer.revision, is_late=answer.is_late)
    return Submitted(receipt, _next(common.assignment, kinds), is_replay=False)


def _correct(common: _Common, place: Place, store: Callable[[dict[str, Any]], Answer]) -> Answer:
    """A new revision; the ones before stay. A correction of a late answer is late too."""
    if not place.batch_open:
        raise BatchFrozen
    table = Demonstration if common.assignment.kind == TaskKind.DEMONSTRATION else Ranking
    earlier = table.objects.filter(task=common.assignment.task_id, labeler=common.assignment.labeler_id)
    last = earlier.aggregate(last=Max("revision"))["last"]
    is_late = earlier.filter(is_latest=True, is_late=True).exists()
    earlier.filter(is_latest=True).update(is_latest=False)
    active_ms = note_correction(common.assignment, active_ms=common.active_ms)
    return store(_columns(common, place, revision=last + 1, active_ms=active_ms, is_late=is_late))


def _columns(
    common: _Common, place: Place, *, revision: int, active_ms: int, is_late: bool
) -> dict[str, Any]:
    assignment = common.assignment
    return {
        "task": assignment.task,
        "project": assignment.project,
        "assignment": assignment,
        "labeler": assignment.labeler,
        "pool": place.pool,
        "revision": revision,
        "is_late": is_late,
        "is_synthetic": assignment.labeler.is_synthetic,
        "guideline_version": assignment.guideline_version,
        "active_ms": active_ms,
        "note": common.note,
        "idempotency_key": common.key,
        "body_sha256": common.fingerprint,
    }


def _record(answer: Answer, assignment: Assignment, *, complete: bool) -> None:
    record(
        f"{answer._meta.model_name}.submitted",
        subject=answer,
        actor=assignment.labeler,
        project=assignment.project,
        assignment=str(assignment.pk),
        task=str(assignment.task_id),
        revision=answer.revision,
        late=answer.is_late,
        task_complete=complete,
    )
    wake(project_channel(assignment.project_id))
