"""What a labeler's tiers must be: a total preorder over exactly the candidates that were shown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from labeling.errors import RankingDuplicate, RankingIncomplete, RankingUnknownCandidate, TiesNotAllowed


def ranks_of(tiers: Sequence[Sequence[str]], shown: Collection[str], *, allow_ties: bool) -> dict[str, int]:
    """{candidate id: dense rank from 1}, best first; empty tiers count for nothing.

    Raises RankingDuplicate, RankingUnknownCandidate, RankingIncomplete or TiesNotAllowed; `extra` names the candidates.
    """
    ranks: dict[str, int] = {}
    unknown, twice = [], []
    filled = [tier for tier in tiers if tier]
    for rank, tier in enumerate(filled, start=1):
        for candidate in tier:
            if candidate not in shown:
                unknown.append(candidate)
            elif candidate in ranks:
                twice.append(candidate)
            else:
                ranks[candidate] = rank
    if unknown:
        raise RankingUnknownCandidate(extra={"candidates": unknown})
    if twice:
        raise RankingDuplicate(extra={"candidates": twice})
    if missing := [candidate for candidate in shown if candidate not in ranks]:
        raise RankingIncomplete(extra={"candidates": missing})
    if not allow_ties and len(filled) < len(ranks):
        raise TiesNotAllowed(extra={"candidates": [one for tier in filled if len(tier) > 1 for one in tier]})
    return ranks


def tiers_of(ranks: Mapping[str, int]) -> list[list[str]]:
    """The reverse: candidates of equal rank together, best first."""
    return [[one for one, rank in ranks.items() if rank == wanted] for wanted in sorted(set(ranks.values()))]


def dense(ranks: Sequence[int]) -> list[int]:
    """Any numbers where less is better as dense ranks: [1, 2, 2, 4] -> [1, 2, 2, 3]."""
    place = {rank: index for index, rank in enumerate(sorted(set(ranks)), start=1)}
    return [place[rank] for rank in ranks]
