"""What training learns from: accepted answers as of a moment, and each as its canonical record."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from accounts.models import Pool, Project
from accounts.selectors import weight_of
from accounts.services import pseudonym
from labeling.models import (
    Candidate,
    Demonstration,
    LeftOut,
    LeftOutReason,
    Prompt,
    RankedItem,
    Ranking,
    Split,
)
from labeling.records import CanonicalDemonstration, CanonicalPrompt, CanonicalRanking, Response

A = TypeVar("A", Demonstration, Ranking)


def demonstrations_for_training(project: Project, *, as_of: datetime) -> QuerySet[Demonstration]:
    """The demonstrations that count at `as_of`, by id: latest revision, not late, not by a held-out labeler.

    None of a training prompt with personal data (`may_be_learned`).
    """
    rows = Demonstration.objects.select_related("task__prompt", "project")
    return _accepted(rows, Demonstration.objects.all(), project, as_of).exclude(pool=Pool.HELDOUT)


def rankings_for_training(project: Project, *, as_of: datetime) -> QuerySet[Ranking]:
    """The rankings that count at `as_of`, by id, comparisons included; iterate with a chunk_size: memory stays flat.

    None of a training prompt with personal data (`may_be_learned`).
    """
    return _rankings(project, as_of).exclude(pool=Pool.HELDOUT)


def rankings_for_measuring(project: Project, *, as_of: datetime) -> QuerySet[Ranking]:
    """What held-out labelers ranked of prompts outside the training split, late ones and earlier revisions left out.

    Neither prompt nor labeler was learned from: whoever ranked training prompts before the pool changed is not among them.
    """
    learned_from = Ranking.objects.filter(
        project=project, submitted_at__lte=as_of, is_late=False, task__prompt__split=Split.TRAIN
    ).exclude(pool=Pool.HELDOUT)
    return (
        _rankings(project, as_of)
        .filter(pool=Pool.HELDOUT)
        .exclude(task__prompt__split=Split.TRAIN)
        .exclude(labeler__in=learned_from.values("labeler"))
    )


def _rankings(project: Project, as_of: datetime) -> QuerySet[Ranking]:
    candidates = Candidate.objects.select_related("completion__version")
    items = RankedItem.objects.order_by("id").prefetch_related(Prefetch("candidate", candidates))
    rows = Ranking.objects.select_related("task__prompt", "project").prefetch_related(
        Prefetch("items", items)
    )
    rows = rows.annotate(weight=weight_of("labeler"))
    return _accepted(rows, Ranking.objects.all(), project, as_of)


def prompts_for_training(project: Project, *, as_of: datetime) -> QuerySet[Prompt]:
    """The project's prompts at `as_of`, by id; of the training split those without personal data."""
    return Prompt.objects.filter(may_be_learned(), project=project, created_at__lte=as_of).order_by("id")


def may_be_learned(prompt: str = "") -> Q:
    """Prompts that training may read: nothing is learned from the other splits, so personal data bars only the first.

    `prompt`: the lookup that leads to it, such as "task__prompt__".
    """
    return ~Q(**{f"{prompt}split": Split.TRAIN}) | Q(**{f"{prompt}pii": []})


def prompts_left_out(project: Project, *, as_of: datetime) -> dict[str, int]:
    """How many prompts training never sees, by reason: those that imports left out, and training prompts with personal data."""
    there = Prompt.objects.filter(project=project, digest=OuterRef("digest"))
    rows = LeftOut.objects.filter(~Exists(there), project=project, created_at__lte=as_of)
    counted = dict(rows.values_list("reason").annotate(n=Count("pk")).order_by())
    flagged = Prompt.objects.filter(~may_be_learned(), project=project, created_at__lte=as_of)
    return {str(reason): counted.get(reason, 0) for reason in LeftOutReason.values} | {"pii": flagged.count()}


def _accepted(rows: QuerySet[A], every: QuerySet[A], project: Project, as_of: datetime) -> QuerySet[A]:
    # Not `is_latest`, which is true of now: at `as_of` another revision may have been the last one.
    newer = every.filter(
        task=OuterRef("task"),
        labeler=OuterRef("labeler"),
        revision__gt=OuterRef("revision"),
        submitted_at__lte=as_of,
    )
    asked: dict[str, Any] = {"project": project, "submitted_at__lte": as_of, "is_late": False}
    learned = may_be_learned("task__prompt__")
    return rows.filter(learned, **asked).exclude(Exists(newer)).order_by("id")


def canonical_ranking(ranking: Ranking) -> CanonicalRanking:
    """The ranking as everybody outside sees it, which comes from `rankings_for_training`. No query."""
    items = list(ranking.items.all())
    prompt = ranking.task.prompt
    return {
        "id": str(ranking.pk),
        "group_id": str(ranking.task_id),
        "batch": str(ranking.task.batch_id),
        "split": prompt.split,
        "prompt_id": str(prompt.pk),
        "prompt": prompt.messages,
        "responses": [_response(item) for item in items],
        "ranks": {str(item.candidate_id): item.rank for item in items},
        "forced": [str(item.candidate_id) for item in items if item.is_forced],
        "scores": {
            str(item.candidate_id): {"overall": item.likert} for item in items if item.likert is not None
        },
        "confidence": ranking.confidence,
        "labeler": pseudonym(ranking.project, ranking.labeler_id),
        "pool": ranking.pool,
        "is_synthetic": ranking.is_synthetic,
        "guideline": f"v{ranking.guideline_version}",
        "display_order": ranking.display_order,
        "revision": ranking.revision,
        "active_ms": ranking.active_ms,
        "submitted_at": ranking.submitted_at.isoformat(),
        "weight": ranking.weight,  # type: ignore[attr-defined]  # `rankings_for_training` adds it
    }


def _response(item: RankedItem) -> Response:
    completion = item.candidate.completion
    ids = completion.token_ids
    return {
        "id": str(item.candidate_id),
        "content": completion.text,
        "policy": completion.version.name,
        "version": str(completion.version_id),
        "temperature": completion.params.get("temperature"),
        "seed": completion.seed,
        "finish": completion.finish_reason,
        "tokens": None if ids is None else len(ids),
        "token_ids": ids,
    }


def canonical_demonstration(demonstration: Demonstration) -> CanonicalDemonstration:
    """The demonstration as everybody outside sees it. No query if it comes from `demonstrations_for_training`."""
    prompt = demonstration.task.prompt
    return {
        "id": str(demonstration.pk),
        "group_id": str(demonstration.task_id),
        "batch": str(demonstration.task.batch_id),
        "split": prompt.split,
        "prompt_id": str(prompt.pk),
        "messages": [*prompt.messages, {"role": "assistant", "content": demonstration.text}],
        "labeler": pseudonym(demonstration.project, demonstration.labeler_id),
        "pool": demonstration.pool,
        "is_synthetic": demonstration.is_synthetic,
        "guideline": f"v{demonstration.guideline_version}",
        "revision": demonstration.revision,
        "active_ms": demonstration.active_ms,
        "submitted_at": demonstration.submitted_at.isoformat(),
    }


def canonical_prompt(prompt: Prompt) -> CanonicalPrompt:
    """The prompt as everybody outside sees it."""
    return {
        "id": str(prompt.pk),
        "split": prompt.split,
        "prompt": prompt.messages,
        "source": prompt.source,
        "tags": prompt.tags,
    }
