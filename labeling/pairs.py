"""A ranking with ties as pairs (better, worse). Pure.

Pairs of one ranking share their completions: whoever trains on them keeps the group together (InstructGPT 3.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from labeling.records import CanonicalRanking


class Pair(NamedTuple):
    """`better` was placed above `worse`, `gap` tiers apart (at least 1)."""

    better: str
    worse: str
    gap: int


def pairs_of(record: CanonicalRanking) -> list[Pair]:
    """All strict pairs of a canonical ranking, in the order of its responses.

    Ties give none. A text that was shown once counts once: its copies (`forced`) are left out, otherwise one
    judgement would weigh double.
    """
    copies = set(record["forced"])
    order = [response["id"] for response in record["responses"] if response["id"] not in copies]
    return list(strict_pairs(order, record["ranks"]))


def strict_pairs(order: Sequence[str], ranks: Mapping[str, int]) -> Iterator[Pair]:
    """The pairs of `order` whose ranks differ, the better one (the lower rank) first."""
    for first, second in combinations(order, 2):
        gap = ranks[second] - ranks[first]
        if gap > 0:
            yield Pair(first, second, gap)
        elif gap < 0:
            yield Pair(second, first, -gap)
