"""How far labelers agree. Pure; `None` stands for undefined, which is not the same as 0.

Ranks: lower is better, equal is a tie; labelers are compared on the items that both ranked. Numbers checked against
scipy and the `krippendorff` package (tests/labeling/test_agreement.py holds the vectors).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import sqrt
from typing import Literal

Ranks = Mapping[str, int]
Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Unordered pairs of items as two labelers ordered them; counts of several tasks add up."""

    concordant: int = 0
    discordant: int = 0
    tied_by_both: int = 0
    tied_by_first: int = 0  # by the first alone
    tied_by_second: int = 0

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(
            self.concordant + other.concordant,
            self.discordant + other.discordant,
            self.tied_by_both + other.tied_by_both,
            self.tied_by_first + other.tied_by_first,
            self.tied_by_second + other.tied_by_second,
        )

    @property
    def tied_by_one(self) -> int:
        return self.tied_by_first + self.tied_by_second

    @property
    def pairs(self) -> int:
        return self.concordant + self.discordant + self.tied_by_both + self.tied_by_one

    @property
    def strict(self) -> float | None:
        """C / (C + D): pairs that either left tied do not count (Stiennon et al. 2020)."""
        return _share(self.concordant, self.concordant + self.discordant)

    @property
    def half(self) -> float | None:
        """(C + both + one / 2) / all."""
        return _share(self.concordant + self.tied_by_both + 0.5 * self.tied_by_one, self.pairs)

    @property
    def exact(self) -> float | None:
        """(C + both) / all."""
        return _share(self.concordant + self.tied_by_both, self.pairs)

    @property
    def tau_b(self) -> float | None:
        """Kendall's tau-b; None where one labeler tied everything."""
        untied = self.concordant + self.discordant
        below = sqrt((untied + self.tied_by_second) * (untied + self.tied_by_first))
        return (self.concordant - self.discordant) / below if below else None


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def compare(first: Ranks, second: Ranks) -> PairCounts:
    """Counts over the items that both ranked."""
    counts: Counter[str] = Counter()
    both = [item for item in first if item in second]
    for i, j in combinations(both, 2):
        a, b = first[i] - first[j], second[i] - second[j]
        if a == 0 and b == 0:
            counts["tied_by_both"] += 1
        elif a == 0:
            counts["tied_by_first"] += 1
        elif b == 0:
            counts["tied_by_second"] += 1
        else:
            counts["concordant" if (a > 0) == (b > 0) else "discordant"] += 1
    return PairCounts(**counts)


def kendall_w(rankings: Sequence[Sequence[int]]) -> float | None:
    """Kendall's W with average ranks and tie correction, for m >= 2 labelers of the same n >= 2 items."""
    m, n = len(rankings), len(rankings[0]) if rankings else 0
    if m < 2 or n < 2:
        return None
    averaged = [_average_ranks(ranks) for ranks in rankings]
    sums = [sum(column) for column in zip(*averaged, strict=True)]
    spread = sum((total - m * (n + 1) / 2) ** 2 for total in sums)
    ties = sum(count**3 - count for ranks in rankings for count in Counter(ranks).values())
    below = m**2 * (n**3 - n) - m * ties
    return 12 * spread / below if below else None


def _average_ranks(ranks: Sequence[int]) -> list[float]:
    counts = Counter(ranks)
    return [sum(counts[r] for r in counts if r < rank) + (counts[rank] + 1) / 2 for rank in ranks]


def krippendorff_alpha(ratings: Iterable[Sequence[float | None]], level: Level) -> float | None:
    """Krippendorff's alpha of labelers (rows) over units (columns); None entries are missing.

    None where nothing can be compared or all values are the same.
    """
    units = [[value for value in column if value is not None] for column in zip(*ratings, strict=True)]
    coincidences: Counter[tuple[float, float]] = Counter()
    for values in units:
        for a, b in permutations(values, 2):
            coincidences[a, b] += 1 / (len(values) - 1)  # type: ignore[assignment]  # weights, not counts
    totals: dict[float, float] = {}
    for (a, _), weight in coincidences.items():
        totals[a] = totals.get(a, 0.0) + weight
    n = sum(totals.values())
    distance = _distance(level, totals)
    observed = sum(weight * distance(a, b) for (a, b), weight in coincidences.items())
    expected = sum(totals[a] * totals[b] * distance(a, b) for a in totals for b in totals)
    return 1 - (n - 1) * observed / expected if expected else None


def _distance(level: Level, totals: Mapping[float, float]) -> Callable[[float, float], float]:
    def nominal(a: float, b: float) -> float:
        return float(a != b)

    def interval(a: float, b: float) -> float:
        return (a - b) ** 2

    def ordinal(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        between = sum(total for value, total in totals.items() if low <= value <= high)
        return (between - (totals[a] + totals[b]) / 2) ** 2

    return {"nominal": nominal, "interval": interval, "ordinal": ordinal}[level]


def pair_codes(ranks: Sequence[int]) -> list[int]:
    """-1, 0 or 1 for every ordered pair of items: each pair stands there both ways round.

    Without that alpha over the codes would depend on how the items are numbered.
    """
    return [(a > b) - (a < b) for a, b in permutations(ranks, 2)]
