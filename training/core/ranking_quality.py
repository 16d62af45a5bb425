"""How well scores agree with people's rankings: accuracy, accuracy by rank distance, calibration, Kendall's tau."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

BINS = 10


class Pair(NamedTuple):
    """Two answers that a labeler did not tie, the better first."""

    margin: float  # score of the better - score of the worse
    distance: int  # ranks between them, at least 1

    @property
    def right(self) -> float:
        """Whether the scores order them as the labeler did; equal scores are half right."""
        return 0.5 if self.margin == 0 else float(self.margin > 0)

    @property
    def stated(self) -> float:
        """The probability, at least 1/2, that the scores give to the order they prefer (Bradley-Terry)."""
        return 1 / (1 + math.exp(-abs(self.margin)))


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose stated probability lies in one tenth of [0, 1]."""

    low: float
    high: float
    stated: float  # mean
    right: float  # share
    count: int


def pairs_of(scores: Sequence[float], ranks: Sequence[int]) -> list[Pair]:
    """All pairs of one ranking; ranks: 1 is best, ties make no pair."""
    places = range(len(ranks))
    return [
        Pair(scores[i] - scores[j], ranks[j] - ranks[i])
        for i in places
        for j in places
        if ranks[i] < ranks[j]
    ]


def accuracy(pairs: Sequence[Pair]) -> float | None:
    """Share of pairs in the labeler's order; None without any."""
    return sum(pair.right for pair in pairs) / len(pairs) if pairs else None


def quality(scored: Sequence[tuple[Sequence[float], Sequence[int]]]) -> dict[str, float]:
    """Numbers under reward/valid_* for [(scores, ranks)] of several rankings; empty where there is no pair."""
    rankings = [pairs for scores, ranks in scored if (pairs := pairs_of(scores, ranks))]
    everything = [pair for pairs in rankings for pair in pairs]
    if not everything:
        return {}
    by_distance: dict[int, list[float]] = defaultdict(list)
    for pair in everything:
        by_distance[min(pair.distance, 8)].append(pair.right)
    found = {
        "reward/valid_accuracy": sum(pair.right for pair in everything) / len(everything),
        "reward/valid_ece": calibration_error([(pair.stated, pair.right) for pair in everything]),
        "reward/valid_kendall_tau": kendall_tau(rankings),
        "reward/valid_pairs": float(len(everything)),
    }
    return found | {
        f"reward/valid_accuracy_distance_{d}": sum(x) / len(x) for d, x in sorted(by_distance.items())
    }


def kendall_tau(rankings: Sequence[Sequence[Pair]]) -> float:
    """Mean over rankings of (pairs right - pairs wrong) / pairs. Every ranking needs a pair."""
    return sum(sum(2 * pair.right - 1 for pair in pairs) / len(pairs) for pairs in rankings) / len(rankings)


def reliability(stated: Sequence[tuple[float, float]]) -> list[Bin]:
    """The reliability curve of [(stated probability, 1 if right)]: ten equal bins, empty ones left out (Guo et al. 1706.04599)."""
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for probability, right in stated:
        bins[min(int(probability * BINS), BINS - 1)].append((probability, right))
    return [
        Bin(
            b / BINS,
            (b + 1) / BINS,
            sum(p for p, _ in members) / len(members),
            sum(r for _, r in members) / len(members),
            len(members),
        )
        for b, members in sorted(bins.items())
    ]


def calibration_error(stated: Sequence[tuple[float, float]]) -> float:
    """Expected calibration error: mean over pairs of their bin's |stated probability - share right|."""
    return sum(abs(one.stated - one.right) * one.count for one in reliability(stated)) / len(stated)
