"""How demonstrations lie in the rows of a batch: one a row and padded, or several a row and blind to each other.

Packing changes the layout and nothing else: positions start again with each demonstration, the attention mask is block
diagonal and causal (transformers' forward pass takes it as it is), and every demonstration of a step is still in it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedModel

from training.core.data import Demonstration
from training.core.errors import RunError
from training.core.language import Batch, nll_at, padded
from training.core.loop import evaluating, pad


def pack(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of one batch in rows, always the same for the same lengths.

    Rows hold as much as the longest one, or half or once as much again where that leaves fewer positions to compute; no
    more, because attention costs the square of a row.
    """
    longest = max(lengths)
    tries = [best_fit(lengths, capacity) for capacity in (longest, longest * 3 // 2, longest * 2)]
    return min(tries, key=lambda rows: len(rows) * max(sum(lengths[i] for i in row) for row in rows))


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Best fit decreasing: each index, from long to short, into the fullest row that still has room for it."""
    rows: list[list[int]] = []
    spaces: list[tuple[int, int]] = []  # (tokens left, row), sorted
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        place = bisect_left(spaces, (lengths[index], 0))
        if place < len(spaces):
            left, row = spaces.pop(place)
        else:
            left, row = capacity, len(rows)
            rows.append([])
        rows[row].append(index)
        insort(spaces, (left - lengths[index], row))
    return rows


def row_tokens(row: Sequence[Demonstration]) -> int:
    return sum(len(one.ids) for one in row)


def lay_out(rows: Sequence[Sequence[Demonstration]], device: torch.device) -> tuple[Batch, Tensor, Tensor]:
    """What the trunk reads, and (N,) each: the places that foretell a learned token, counted through the rows, and the tokens.

    Demonstrations of a row stand one after another; padding follows on the right.
    """
    ids_BT, mask_BT = pad([[token for one in row for token in one.ids] for row in rows], device)
    width = ids_BT.shape[1]
    places: list[int] = []
    targets: list[int] = []
    for b, row in enumerate(rows):
        starts = accumulate((len(one.ids) for one in row), initial=b * width)
        for begin, one in zip(starts, row, strict=False):
            for start, stop in one.learned:
                places += range(begin + start - 1, begin + stop - 1)
                targets += one.ids[start:stop]
    batch = padded(ids_BT, mask_BT) if max(map(len, rows)) == 1 else _side_by_side(ids_BT, rows)
    return batch, torch.tensor(places, device=device), torch.tensor(targets, device=device)


def _side_by_side(ids_BT: Tensor, rows: Sequence[Sequence[Demonstration]]) -> Batch:
    """Several a row. Padding counts as one more member, so that it looks at itself and no row of the mask is empty (NaN)."""
    number_BT = torch.zeros(ids_BT.shape, dtype=torch.long)
    positions_BT = torch.zeros(ids_BT.shape, dtype=torch.long)
    for b, row in enumerate(rows):
        begin = 0
        for number, one in enumerate(row, start=1):
            number_BT[b, begin : begin + len(one.ids)] = number
            positions_BT[b, begin : begin + len(one.ids)] = torch.arange(len(one.ids))
            begin += len(one.ids)
    number_BT = number_BT.to(ids_BT.device)
    same_BTT = number_BT.unsqueeze(1) == number_BT.unsqueeze(2)
    return Batch(ids_BT, same_BTT.tril().unsqueeze(1), positions_BT.to(ids_BT.device))


def check_packing(model: PreTrainedModel, rows: Sequence[Demonstration]) -> None:
    """Whether this architecture reads two demonstrations in one row as it reads them alone. RunError `no_packing` if not.

    One that keeps a state from token to token, or makes a mask of its own, does not.
    """
    pair = sorted(rows, key=lambda row: len(row.ids))[:2]
    with evaluating(model):
        alone = sum(float(nll_at(model, *lay_out([[one]], model.device))) for one in pair)
        try:
            packed = float(nll_at(model, *lay_out([pair], model.device)))
        except (RuntimeError, ValueError, TypeError):  # A mask of this shape is nothing it knows.
            packed = math.nan
    # Weights that are no numbers are for the first step to tell.
    if math.isfinite(alone) and not abs(packed - alone) <= 1e-3 * max(alone, 1.0):
        raise RunError(
            "no_packing",
            f"{type(model).__name__} reads packed demonstrations otherwise than alone ({packed:.4f} and {alone:.4f} nats).",
            "Set packing to false.",
        )
