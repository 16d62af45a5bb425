"""The model's forward as the engine uses it: one decode step, scoring given completions; what fits a model."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inference.engine.cache import SlotCache, round_up, step_mask
from inference.engine.models import position_ids_of

# B rows, T tokens of the longest row, V vocabulary

SCORE_TOKENS = 8192
SCORE_LOGITS = 32_000_000
"""Bounds of one scoring forward: tokens, and logits (fp32: 128 MB)."""


def context_length(model: PreTrainedModel) -> int:
    """Most tokens of a row for which the engine's attention is the model's own. Raises ValueError for unfit models."""
    config = model.config
    unfit = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if unfit:
        raise ValueError(f"the model has layers of type {sorted(unfit)}; choose one with ordinary attention.")
    if getattr(config, "_attn_implementation", "eager") not in ("sdpa", "eager"):
        raise ValueError(
            "the model's attention takes no mask of ours; load it with attn_implementation='sdpa'."
        )
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise ValueError("the model takes no position_ids; choose a GPT-2 or Llama-like one.")
    if (longest := longest_row(config)) is None:
        raise ValueError("config.json names no max_position_embeddings; add the context's length in tokens.")
    return longest


def longest_row(config: Any) -> int | None:
    """Most tokens of a row, for sampling and training alike; None where config.json sets no limit.

    Where layers see a sliding window, the context ends at the window: within it sliding and full attention agree.
    """
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window"))
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)


def vocabulary_size(model: Any) -> int:
    """How many logits the model gives."""
    return int(model.get_output_embeddings().weight.shape[0])


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device or, as a plain RuntimeError, torch's CPU allocator had no memory left."""
    full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return full or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


@contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Inference mode with dropout off; each module's training flag is put back, for the model may be in training."""
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def decode_step(
    model: PreTrainedModel, cache: SlotCache, tokens: Sequence[int], lengths: Sequence[int]
) -> Tensor:
    """Feed each row's last token at position `lengths[row]`; next-token logits (B, V)."""
    positions_B = torch.tensor(lengths, device=model.device)
    visible = round_up(max(lengths) + 1)
    cache.begin_step(positions_B, visible)
    logits_BTV = model(
        input_ids=torch.tensor(tokens, device=model.device)[:, None],
        attention_mask=step_mask(positions_B, visible, model.dtype),
        position_ids=positions_B[:, None],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    step_BV: Tensor = logits_BTV[:, -1]
    return step_BV


def score_items(
    model: PreTrainedModel, items: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[list[float]]:
    """Log-probability of every completion token given all before it, raw logits at temperature 1."""
    scores: list[list[float]] = [[] for _ in items]
    rows = [[*prompt, *completion] for prompt, completion in items]
    limit = max(1, min(SCORE_TOKENS, SCORE_LOGITS // vocabulary_size(model)))
    for places in batches([len(row) for row in rows], limit):
        kept = max(len(items[i][1]) for i in places)
        if not kept:
            continue
        ids_BT, mask_BT = pad_left([rows[i] for i in places], model.device)
        logits_BTV = model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=None if mask_BT is None else position_ids_of(mask_BT),
            use_cache=False,
            logits_to_keep=kept + 1,
        ).logits[:, :-1]
        logprobs_BT = logits_BTV.float().log_softmax(-1).gather(-1, ids_BT[:, -kept:, None]).squeeze(-1)
        for row, place in enumerate(places):
            length = len(items[place][1])
            scores[place] = logprobs_BT[row, kept - length :].tolist()
    return scores


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Ids and mask, both (B, T); no mask where nothing is padded, so that attention takes its fast causal path."""
    longest = max(map(len, rows))
    ids_BT = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=device)
    if all(len(row) == longest for row in rows):
        return ids_BT, None
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return ids_BT, torch.tensor(mask, device=device)


def batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Places grouped by like length: at most `limit` tokens with padding, and at most a quarter of them padding."""
    batch: list[int] = []
    real = 0
    for place in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        padded = lengths[place] * (len(batch) + 1)
        if batch and (padded > limit or real + lengths[place] < 0.75 * padded):
            yield batch
            batch, real = [], 0
        batch.append(place)
        real += lengths[place]
    if batch:
        yield batch
