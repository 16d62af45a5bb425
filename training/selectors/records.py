"""The canonical records that a snapshot is made of, in order of their ids, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.timezone import now

from accounts.models import Pool, Project
from labeling.models import Demonstration, Ranking, Split
from labeling.selectors import (
    canonical_demonstration,
    canonical_prompt,
    canonical_ranking,
    demonstrations_for_training,
    may_be_learned,
    prompts_for_training,
    prompts_left_out,
    rankings_for_measuring,
    rankings_for_training,
)
from training.models import SnapshotKind

AT_ONCE = 1000
Record = dict[str, Any]


def records_of(project: Project, kind: SnapshotKind, *, as_of: datetime) -> Iterator[tuple[UUID, Record]]:
    """(id of the answer or prompt, its canonical record). Late answers never come, those of held-out labelers only alone."""
    if kind == SnapshotKind.SFT:
        for demonstration in _by_id(demonstrations_for_training(project, as_of=as_of)):
            yield demonstration.pk, dict(canonical_demonstration(demonstration))
    elif kind in (SnapshotKind.RANKINGS, SnapshotKind.MEASURING):
        counting = rankings_for_training if kind == SnapshotKind.RANKINGS else rankings_for_measuring
        for ranking in _by_id(counting(project, as_of=as_of)):
            yield ranking.pk, dict(canonical_ranking(ranking))
    else:
        for prompt in _by_id(prompts_for_training(project, as_of=as_of)):
            yield prompt.pk, dict(canonical_prompt(prompt))


def has_heldout_rankings(project: Project) -> bool:
    """Whether there is something to measure a reward model on by labelers that it does not learn from."""
    return rankings_for_measuring(project, as_of=now()).filter(task__prompt__split=Split.VALID).exists()


def left_out(project: Project, kind: SnapshotKind, *, as_of: datetime) -> dict[str, int]:
    """How many answers (of a snapshot of prompts: prompts) stayed out of a snapshot to learn from, by reason."""
    if kind == SnapshotKind.MEASURING:
        return {}
    if kind == SnapshotKind.PROMPTS:
        return {"pii": prompts_left_out(project, as_of=as_of)["pii"]}
    model = Demonstration if kind == SnapshotKind.SFT else Ranking
    latest: QuerySet[Any] = model._default_manager.filter(
        project=project, is_latest=True, submitted_at__lte=as_of
    )
    in_time = latest.filter(is_late=False)
    return {
        "late": latest.filter(is_late=True).count(),
        "heldout_labelers": in_time.filter(pool=Pool.HELDOUT).count(),
        "pii": in_time.filter(~may_be_learned("task__prompt__")).exclude(pool=Pool.HELDOUT).count(),
    }


def _by_id(rows: QuerySet[Any]) -> Iterator[Any]:
    return rows.order_by("pk").iterator(chunk_size=AT_ONCE)
