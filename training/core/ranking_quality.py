"""How well scores agree with people's rankings: accuracy, accuracy by rank distance, calibration, Kendall's tau."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

BINS = 10


def quality(scored: Sequence[tuple[Sequence[float], Sequence[int]]]) -> dict[str, float]:
    """Numbers under reward/valid_* for [(scores, ranks)] of several rankings; ranks: 1 is best, ties make no pair."""
    by_distance: dict[int, list[float]] = defaultdict(list)
    stated: list[tuple[float, float]] = []
    taus = []
    for scores, ranks in scored:
        pairs = _pairs(scores, ranks)
        for margin, distance in pairs:
            by_distance[min(distance, 8)].append(_right(margin))
            stated.append((_sigmoid(abs(margin)), _right(margin)))
        if pairs:
            taus.append(sum(2 * _right(margin) - 1 for margin, _ in pairs) / len(pairs))
    if not stated:
        return {}
    found = {
        "reward/valid_accuracy": sum(right for _, right in stated) / len(stated),
        "reward/valid_ece": calibration_error(stated),
        "reward/valid_kendall_tau": sum(taus) / len(taus),
        "reward/valid_pairs": float(len(stated)),
    }
    return found | {
        f"reward/valid_accuracy_distance_{d}": sum(x) / len(x) for d, x in sorted(by_distance.items())
    }


def calibration_error(stated: Sequence[tuple[float, float]]) -> float:
    """Expected calibration error over ten equal bins of [(stated probability, 1 if right)] (Guo et al. 1706.04599)."""
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for probability, right in stated:
        bins[min(int(probability * BINS), BINS - 1)].append((probability, right))
    gaps = (abs(sum(p for p, _ in members) - sum(r for _, r in members)) for members in bins.values())
    return sum(gaps) / len(stated)


def _pairs(scores: Sequence[float], ranks: Sequence[int]) -> list[tuple[float, int]]:
    """(score of the better - score of the worse, rank distance) of every pair that is not tied."""
    places = range(len(ranks))
    return [
        (scores[i] - scores[j], ranks[j] - ranks[i]) for i in places for j in places if ranks[i] < ranks[j]
    ]


def _right(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
