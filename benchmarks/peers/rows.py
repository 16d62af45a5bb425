"""A line of the table: ours, the peer's, their ratio, the bar, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

HEADER = f"{'':<55}{'ours':>10}{'TRL':>10}  {'unit':<25}{'ratio':>8}{'wall':>8}  {'bar':<12}{'':<13}note"


@dataclass(frozen=True, kw_only=True)
class Row:
    """`ratio` says how many times better ours is, in CPU seconds where it is about time; `wall` the same by the clock."""

    what: str
    ours: float | None = None
    peer: float | None = None
    unit: str = ""
    ratio: float | None = None
    wall: float | None = None
    bar: str = ""
    holds: bool | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if not self.bar:
            return ""
        return {True: "ok", False: "MISS", None: "not verified"}[self.holds]

    def __str__(self) -> str:
        return (
            f"{self.what:<55}{_number(self.ours):>10}{_number(self.peer):>10}  {self.unit:<25}"
            f"{_number(self.ratio, 'x'):>8}{_number(self.wall, 'x'):>8}  {self.bar:<12}{self.verdict:<13}{self.note}"
        ).rstrip()


@dataclass(frozen=True)
class Spent:
    """What one side took for the same work."""

    cpu_s: float
    wall_s: float

    def per(self, count: float) -> Spent:
        return Spent(self.cpu_s / count, self.wall_s / count)


def middle(several: Iterable[Spent]) -> Spent:
    """The medians of repeated measurements."""
    found = list(several)
    return Spent(median(one.cpu_s for one in found), median(one.wall_s for one in found))


def time_row(what: str, ours: Spent, peer: Spent, unit: str, bar: float | None = None, note: str = "") -> Row:
    """Less CPU time is better."""
    ratio = peer.cpu_s / ours.cpu_s
    return Row(
        what=what, ours=ours.cpu_s, peer=peer.cpu_s, unit=unit, ratio=ratio, wall=peer.wall_s / ours.wall_s,
        bar="" if bar is None else f">= {bar:g}x", holds=None if bar is None else ratio >= bar, note=note,
    )  # fmt: skip


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    digits = max(0, 3 - len(str(int(abs(value))))) if abs(value) >= 1 else 4
    text = f"{value:,.{digits}f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}"
    return text + unit
