"""Which rankings learn in one step, and which of those are computed in one pass. Lists and counts, no model.

Rankings of one prompt stay together, so that its prompt, and an answer that several people ranked, is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from training.core.config import RewardConfig
from training.core.data import Ranking
from training.core.errors import RunError
from training.core.loop import permutation
from training.core.parallel import world


def batches_of(rows: Sequence[Ranking], cfg: RewardConfig, seed: int, epoch: int) -> list[list[int]]:
    """Batches of ranking indices for an epoch: prompts shuffled by seed and epoch, sorted by length within windows.

    A batch is filled with whole prompts up to `batch_size` rankings; a prompt with more of them is split.
    """
    units = [
        unit[at : at + cfg.batch_size]
        for unit in by_prompt(rows)
        for at in range(0, len(unit), cfg.batch_size)
    ]
    order = [units[i] for i in permutation(len(units), seed, "order", epoch)]
    if cfg.sort_window == 1:
        return _fill(order, cfg.batch_size)
    batches: list[list[int]] = []
    for window in _windows(order, cfg.batch_size * cfg.sort_window):
        window.sort(key=lambda unit: max(rows[i].longest for i in unit))
        batches += _fill(window, cfg.batch_size)
    return [batches[i] for i in permutation(len(batches), seed, "order", epoch, "batches")]


def by_prompt(rows: Sequence[Ranking]) -> list[list[int]]:
    """Indices of the rankings of each prompt, prompts in the order in which they first come."""
    units: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(rows):
        units.setdefault(row.prompt, []).append(i)
    return list(units.values())


def _windows(units: Sequence[list[int]], rankings: int) -> list[list[list[int]]]:
    """Units in order, cut after every so many rankings."""
    windows: dict[int, list[list[int]]] = {}
    for unit, before in zip(units, accumulate((len(unit) for unit in units), initial=0), strict=False):
        windows.setdefault(before // rankings, []).append(unit)
    return list(windows.values())


def _fill(units: Sequence[list[int]], size: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for unit in units:
        if not batches or len(batches[-1]) + len(unit) > size:
            batches.append([])
        batches[-1] += unit
    return batches


@dataclass(frozen=True, slots=True)
class Layout:
    """The different prompts of some rankings, their different answers, and where each ranking finds its own."""

    prompts: list[tuple[int, ...]]
    answers: list[tuple[int, list[int]]]  # (number of its prompt, prompt + answer ids)
    places: list[list[int]]  # of each ranking: the numbers of its answers

    def cut(self, number: int) -> list[int]:
        """Ids of an answer after its prompt."""
        owner, ids = self.answers[number]
        return ids[len(self.prompts[owner]) :]

    def pieces(self, *, shared: bool) -> list[tuple[int, int]]:
        """What passes the backbone: (tokens, how many each could look at), a prompt or an answer at a time."""
        if not shared:
            return [(len(ids), len(ids)) for _, ids in self.answers]
        cut = [(len(self.cut(n)), len(ids)) for n, (_, ids) in enumerate(self.answers)]
        return [(len(prompt), len(prompt)) for prompt in self.prompts] + cut

    def tokens(self, *, shared: bool) -> int:
        """Real tokens that pass the backbone: P + sum of C_k for each prompt, or sum of P + C_k."""
        whole = sum(len(ids) for _, ids in self.answers)
        if not shared:
            return whole
        again = sum(len(self.prompts[owner]) for owner, _ in self.answers)
        return whole - again + sum(map(len, self.prompts))


def layout_of(rows: Sequence[Ranking]) -> Layout:
    prompts: dict[tuple[int, ...], int] = {}
    answers: dict[tuple[int, tuple[int, ...]], int] = {}
    places = []
    for row in rows:
        owner = prompts.setdefault(row.prompt, len(prompts))
        places.append([answers.setdefault((owner, tuple(ids)), len(answers)) for ids in row.answers])
    return Layout(list(prompts), [(owner, list(ids)) for owner, ids in answers], places)


def share_of(rows: Sequence[Ranking]) -> list[int]:
    """Indices of the rankings of a batch that this rank computes; those of one prompt stay together."""
    return [i for unit in world.share(by_prompt(rows), lambda unit: _tokens(rows, unit)) for i in unit]


def _tokens(rows: Sequence[Ranking], unit: Sequence[int]) -> int:
    return sum(len(ids) for i in unit for ids in rows[i].answers)


def parts_of(rows: Sequence[Ranking], budget: int, *, shared: bool) -> list[list[int]]:
    """Parts of a batch, by like length, whose padded size stays within the budget. A prompt is never split."""
    parts: list[list[int]] = []
    size = _Size(shared=shared)
    for unit in sorted(by_prompt(rows), key=lambda unit: _length(rows, unit), reverse=True):
        more = layout_of([rows[i] for i in unit])
        if not parts or size.would_be(more) > budget:
            parts.append([])
            size = _Size(shared=shared)
        parts[-1] += unit
        size.add(more)
    return parts


def _length(rows: Sequence[Ranking], unit: Sequence[int]) -> tuple[int, int, int]:
    longest = max(rows[i].longest for i in unit)
    return rows[unit[0]].prompt_tokens, longest, -unit[0]


class _Size:
    """Padded positions of a part that grows."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self.prompts = self.answers = self.prompt_width = self.width = 0

    def would_be(self, more: Layout) -> int:
        prompts, answers, prompt_width, width = self._with(more)
        return answers * width + (prompts * prompt_width if self.shared else 0)

    def add(self, more: Layout) -> None:
        self.prompts, self.answers, self.prompt_width, self.width = self._with(more)

    def _with(self, more: Layout) -> tuple[int, int, int, int]:
        lengths = [len(more.cut(n)) if self.shared else len(ids) for n, (_, ids) in enumerate(more.answers)]
        return (
            self.prompts + len(more.prompts),
            self.answers + len(more.answers),
            max(self.prompt_width, *map(len, more.prompts)),
            max(self.width, *lengths),
        )


def check_hold_out(train: Sequence[Ranking], valid: Sequence[Ranking]) -> int:
    """No prompt on both sides: RunError `split_leak` where the data set's own prompt ids say that one is.

    Rows made by hand may have no such ids, and two prompts may read alike. Returns how many validation rankings have a
    prompt that reads like one of training.
    """
    ids = {row.prompt_id for row in train} & {row.prompt_id for row in valid} - {None}
    if ids:
        some = ", ".join(sorted(map(str, ids))[:3])
        raise RunError(
            "split_leak",
            f"{len(ids)} prompts are in train.jsonl and in valid.jsonl ({some}): what is measured would have been learned.",
            "Split by prompt, so that all rankings of one are on one side.",
        )
    seen = {row.prompt for row in train}
    return sum(row.prompt in seen for row in valid)


def check_other_labelers(train: Sequence[Ranking], others: Sequence[Ranking]) -> None:
    """RunError `labeler_leak` where somebody whose rankings are learned from is among the held-out labelers."""
    both = {row.labeler for row in train} & {row.labeler for row in others} - {None}
    if both:
        raise RunError(
            "labeler_leak",
            f"{len(both)} held-out labelers are in train.jsonl too: their taste would have been learned.",
            "Leave their rankings out on one side.",
        )
