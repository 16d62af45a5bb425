"""The report on a reward model: how often it is right, where, whether it knows how sure to be, and whether it reads prompts.

Numbers come from validation rankings that no weight has seen; what is undefined is null. It goes into the run's folder
(report.json), the version's lineage and card, and result.json.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

from training.core.ranking_quality import (
    Pair,
    accuracy,
    calibration_error,
    kendall_tau,
    pairs_of,
    reliability,
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One labeler's ranking of K answers, and the model's scores of them (none for a training ranking)."""

    ranks: Sequence[int]
    answers: Sequence[Hashable]  # what tells equal answers, prompt included
    scores: Sequence[float] = ()
    labeler: str | None = None
    confidence: int | None = None
    versions: Sequence[str | None] = ()  # of each answer: who wrote it

    @property
    def pairs(self) -> list[Pair]:
        return pairs_of(self.scores, self.ranks)

    def pairs_by_source(self) -> dict[str | None, list[Pair]]:
        """{version: pairs of which it wrote both answers, None: pairs of two versions}, where both writers are known."""
        found: dict[str | None, list[Pair]] = defaultdict(list)
        for i, j in combinations(range(len(self.versions)), 2):
            one, other = self.versions[i], self.versions[j]
            if one is not None and other is not None:
                pair = pairs_of((self.scores[i], self.scores[j]), (self.ranks[i], self.ranks[j]))
                found[one if one == other else None] += pair
        return {source: pairs for source, pairs in found.items() if pairs}


def reward_report(
    valid: Sequence[Judged],
    blind: Sequence[Judged],
    train: Sequence[Judged] = (),
    *,
    heldout_labelers: Sequence[Judged] = (),
    seen_in_training: int = 0,
) -> dict[str, Any]:
    """Everything that is known of a reward model from validation rankings.

    `blind`: the same rankings, each scored under the prompt of another one. `prompt_blind_accuracy` is the accuracy of
    those scores, what the answers' wording alone foretells; a model that is no better with the right prompts does not
    read them, which plain accuracy cannot show (E4b of the training notes). `train` adds to the labelers' agreement only.
    `heldout_labelers`: what people ranked whose rankings are never learned from, of validation prompts as well; InstructGPT
    (4.1) has 72.4 % on the labelers that it learned from and 69.6 % on others. They enter no other number.

    Groups by rank distance, labeler and confidence stand beside what can be had there: `agreement`, how often another
    labeler ordered such a pair as this ranking did, over `agreement_pairs` of them. It is what one labeler attains; the
    bound of `attainable` holds for all pairs alone, since a group is chosen by what one of the two said.
    """
    rankings = [one for one in valid if one.pairs]
    pairs = [pair for one in rankings for pair in one.pairs]
    stated = [(pair.stated, pair.right) for pair in pairs]
    blind_pairs = [pair for one in blind for pair in one.pairs]
    votes = list(compared([*valid, *train]))
    share = _agreement(votes)["agreement"]
    return {
        "rankings": len(rankings),
        "pairs": len(pairs),
        "accuracy": accuracy(pairs),
        "accuracy_se": clustered_error([one.pairs for one in rankings]),
        "labeler_agreement": share,
        "labeler_agreement_pairs": len(votes),
        "attainable_accuracy": None if share is None else attainable(share),
        "prompt_blind_accuracy": accuracy(blind_pairs),
        "prompt_blind_pairs": len(blind_pairs),  # Fewer than `pairs` where no other prompt fits.
        "by_rank_distance": _by("distance", rankings, votes, lambda _, distance: distance),
        "by_labeler": _by("labeler", rankings, votes, lambda one, _: one.labeler),
        "by_confidence": _by("confidence", rankings, votes, lambda one, _: one.confidence),
        "by_source": by_source(rankings),
        "heldout_labelers": _of_others([one for one in heldout_labelers if one.pairs]),
        "ece": calibration_error(stated) if stated else None,
        "reliability": [asdict(one) for one in reliability(stated)],
        "kendall_tau": kendall_tau([one.pairs for one in rankings]) if rankings else None,
        "seen_in_training": seen_in_training,
    }


def by_source(rankings: Iterable[Judged]) -> list[dict[str, Any]]:
    """Accuracy over pairs of one version's answers, a row a version by its id, and last, under None, over pairs of two.

    To tell two policies apart is easier than two samples of one, which is what policy training asks of a reward model.
    """
    groups: dict[str | None, list[list[Pair]]] = defaultdict(list)
    for one in rankings:
        for source, pairs in one.pairs_by_source().items():
            groups[source].append(pairs)
    ordered = sorted(groups.items(), key=lambda group: (group[0] is None, group[0] or ""))
    return [{"version": source, **_clustered(clusters)} for source, clusters in ordered]


def _of_others(rankings: Sequence[Judged]) -> dict[str, Any] | None:
    if not rankings:
        return None
    labelers = {one.labeler for one in rankings} - {None}
    return {**_clustered([one.pairs for one in rankings]), "labelers": len(labelers)}


def _clustered(clusters: Sequence[Sequence[Pair]]) -> dict[str, Any]:
    pairs = [pair for cluster in clusters for pair in cluster]
    return {"accuracy": accuracy(pairs), "accuracy_se": clustered_error(clusters), "pairs": len(pairs)}


class Compared(NamedTuple):
    """Two answers that two labelers ordered: each one's ranking, how far apart it has them, and whether they agree."""

    sides: tuple[tuple[Judged, int], tuple[Judged, int]]
    alike: bool


def compared(rankings: Iterable[Judged]) -> Iterator[Compared]:
    """All pairs that both ordered, over all two rankings of the same answers by different labelers."""
    by_answer: dict[Hashable, list[Judged]] = defaultdict(list)
    for one in rankings:
        for answer in set(one.answers):
            by_answer[answer].append(one)
    met: set[tuple[int, int]] = set()
    for judges in by_answer.values():
        for one, other in combinations(judges, 2):
            both = (id(one), id(other))
            if None in (one.labeler, other.labeler) or one.labeler == other.labeler or both in met:
                continue
            met.add(both)
            yield from _both_ordered(one, other)


def _both_ordered(one: Judged, other: Judged) -> Iterator[Compared]:
    first, second = (dict(zip(x.answers, x.ranks, strict=True)) for x in (one, other))
    for a, b in combinations([answer for answer in first if answer in second], 2):
        gap, gap_other = first[b] - first[a], second[b] - second[a]
        if gap and gap_other:
            yield Compared(((one, abs(gap)), (other, abs(gap_other))), (gap > 0) == (gap_other > 0))


def _agreement(votes: Sequence[Compared]) -> dict[str, Any]:
    share = sum(vote.alike for vote in votes) / len(votes) if votes else None
    return {"agreement": share, "agreement_pairs": len(votes)}


def attainable(agreement: float) -> float:
    """The accuracy that no model can pass against one labeler, where two labelers order a pair alike this often.

    Where each puts i over j with probability p, two agree with p^2 + (1 - p)^2 and the best guess is right with
    max(p, 1 - p) = (1 + sqrt(2 agreement - 1)) / 2. That is concave in the agreement, so of a mean over pairs of many
    p it is an upper bound; `labeler_agreement` itself is what one labeler attains against another.
    """
    return (1 + math.sqrt(max(2 * agreement - 1, 0.0))) / 2


def clustered_error(rankings: Sequence[Sequence[Pair]]) -> float | None:
    """Standard error of the accuracy with each ranking as one draw: its pairs hang together. None below two rankings."""
    if len(rankings) < 2:
        return None
    counts = [len(pairs) for pairs in rankings]
    rights = [sum(pair.right for pair in pairs) for pairs in rankings]
    share = sum(rights) / sum(counts)
    spread = sum((right - share * count) ** 2 for right, count in zip(rights, counts, strict=True))
    return math.sqrt(spread * len(rankings) / (len(rankings) - 1)) / sum(counts)


Key = Callable[[Judged, int], Any]
"""What a pair is grouped by: (its ranking, its distance) -> the group, None for none."""


def _by(name: str, rankings: Iterable[Judged], votes: Iterable[Compared], key: Key) -> list[dict[str, Any]]:
    """Accuracy of the pairs of each group, and what other labelers say of such pairs."""
    pairs: dict[Any, list[Pair]] = defaultdict(list)
    for one in rankings:
        for pair in one.pairs:
            pairs[key(one, pair.distance)].append(pair)
    told: dict[Any, list[Compared]] = defaultdict(list)
    for vote in votes:
        for side in vote.sides:
            told[key(*side)].append(vote)
    return [
        {
            name: group,
            "accuracy": accuracy(pairs[group]),
            "pairs": len(pairs[group]),
            **_agreement(told[group]),
        }
        for group in sorted(group for group in pairs if group is not None)
    ]
