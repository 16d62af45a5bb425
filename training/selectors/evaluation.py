"""What candidate and current policy wrote for the same prompts, with their scores."""

from __future__ import annotations

from typing import Any, NamedTuple

from inference.models import Completion, SamplingJob
from inference.selectors import completions_of
from labeling.models import Ranking, TaskKind
from training.models import Round, RunKind, Score


class Pair(NamedTuple):
    """Both answers to one prompt."""

    key: str  # the prompt's digest
    messages: list[dict[str, str]]
    candidate: Completion
    current: Completion
    candidate_score: Score | None
    current_score: Score | None


def pairs_of(round_: Round) -> list[Pair]:
    """Every prompt that both have answered, by its digest. Three queries."""
    candidate, current = _by_key(round_.candidate_job), _by_key(round_.opponent_job)
    scores = {
        score.completion_id: score
        for score in Score.objects.filter(run__round=round_, run__kind=RunKind.SCORE).order_by(
            "run__created_at", "id"
        )
    }
    return [
        Pair(
            key,
            one.request.messages if one.request else [],
            one,
            current[key],
            scores.get(one.pk),
            scores.get(current[key].pk),
        )
        for key, one in sorted(candidate.items())
        if key in current
    ]


def comparisons_of(round_: Round) -> dict[str, int]:
    """How people judged, blind: {"candidate_wins", "current_wins", "ties"} over the latest answers that count."""
    found = {"candidate_wins": 0, "current_wins": 0, "ties": 0}
    if round_.comparison_batch_id is None:
        return found
    rankings = (
        Ranking.objects.filter(
            task__batch=round_.comparison_batch_id,
            task__kind=TaskKind.COMPARISON,
            is_latest=True,
            is_late=False,
        )
        .prefetch_related("items__candidate__completion")
        .order_by("id")
    )
    for ranking in rankings:
        ranks: dict[Any, int] = {
            item.candidate.completion.version_id: item.rank for item in ranking.items.all()
        }
        ours, theirs = ranks.get(round_.candidate_id), ranks.get(round_.opponent_id)
        if ours is None or theirs is None:
            continue
        key = "ties" if ours == theirs else "candidate_wins" if ours < theirs else "current_wins"
        found[key] += 1
    return found


def _by_key(job: SamplingJob | None) -> dict[str, Completion]:
    if job is None:
        return {}
    return {one.request.key: one for one in completions_of(job) if one.request is not None}
