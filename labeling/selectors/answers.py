"""A labeler's own answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from accounts.access import Viewer
from labeling.access import assignments_of
from labeling.models import Assignment, Demonstration, Ranking, TaskKind
from labeling.states import AssignmentState, BatchState
from labeling.tiers import tiers_of

OWN = 50


def own_assignments(
    viewer: Viewer, *, project_id: UUID | None = None, state: str | None = None
) -> QuerySet[Assignment]:
    """The viewer's latest assignments, newest first, with what `summary` reads: three queries."""
    rows = assignments_of(viewer).select_related("task__prompt", "task__batch", "project")
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    if state is not None:
        rows = rows.filter(state=state)
    latest = [
        Prefetch(f"{name}s", table.objects.filter(is_latest=True).defer("note", *heavy))
        for name, table, heavy in (("demonstration", Demonstration, ["text"]), ("ranking", Ranking, []))
    ]
    return rows.prefetch_related(*latest).order_by("-leased_at")[:OWN]


def summary(assignment: Assignment) -> dict[str, Any]:
    """One line of the labeler's own work."""
    task = assignment.task
    answers: list[Demonstration | Ranking] = [*assignment.demonstrations.all(), *assignment.rankings.all()]
    is_answered = assignment.state in (AssignmentState.SUBMITTED, AssignmentState.LATE)
    return {
        "id": assignment.pk,
        "project": {"id": assignment.project_id, "name": assignment.project.name},
        "kind": assignment.kind,
        "state": assignment.state,
        "batch": {"title": task.batch.title},
        "prompt": {"messages": task.prompt.messages, "tags": task.prompt.tags},
        "created_at": assignment.created_at,
        "ended_at": assignment.ended_at,
        "editable": is_answered and task.batch.state == BatchState.OPEN,
        "answer": _receipt(answers[0]) if answers else None,
    }


def answer_of(assignment: Assignment) -> dict[str, Any] | None:
    """The latest answer as its labeler gave it, None if there is none: at most two queries."""
    if assignment.kind == TaskKind.DEMONSTRATION:
        demonstration = Demonstration.objects.filter(assignment=assignment, is_latest=True).first()
        if demonstration is None:
            return None
        given: dict[str, Any] = {
            "text": demonstration.text,
            "tiers": None,
            "likert": None,
            "confidence": None,
        }
        return _receipt(demonstration) | given | {"note": demonstration.note}
    ranking = Ranking.objects.filter(assignment=assignment, is_latest=True).first()
    if ranking is None:
        return None
    own = (
        ranking.items.filter(is_forced=False)
        .order_by("rank", "id")
        .values_list("candidate_id", "rank", "likert")
    )
    items = [(str(candidate), rank, likert) for candidate, rank, likert in own]
    return _receipt(ranking) | {
        "text": None,
        "tiers": tiers_of({candidate: rank for candidate, rank, _ in items}),
        "likert": {candidate: likert for candidate, _, likert in items if likert is not None},
        "confidence": ranking.confidence,
        "note": ranking.note,
    }


def _receipt(answer: Demonstration | Ranking) -> dict[str, Any]:
    status = AssignmentState.LATE if answer.is_late else AssignmentState.SUBMITTED
    return {
        "id": answer.pk,
        "status": str(status),
        "revision": answer.revision,
        "submitted_at": answer.submitted_at,
    }
