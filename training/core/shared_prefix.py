"""Read a prompt once and all its answers after its keys and values, with gradients through both.

P prompt tokens and K answers of C tokens cost P + K C tokens of the backbone where one row an answer costs K (P + C). The
model's own forward is used as it is: the prompts fill a `Cache`, and a second pass reads the answers after it, each row
with the keys and values of its own prompt. No kernel for a special mask is needed. What reaches the prompt's keys and
values on the way back is summed over the answers by autograd, as it is where the prompt is computed K times.

Nothing here is trusted: `training/core/reward.py` compares it with plain rows on the first batch of every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from inference.engine.forward import context_length
from inference.engine.models import ScalarModel
from training.core.loop import pad

# G prompts, P tokens of the longest; N answers, n of them in one pass, C tokens of the longest there; D width

PADDING_SHARE = 0.2
"""A pass over answers (sorted by length) ends where more than this share of it would be padding ..."""

SMALL_PASS = 512
"""... unless it is smaller than this: below it a pass costs by its number and not by its size. Tokens."""


class PrefixLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # its __init_subclass__ has no types
    """One layer's keys and values of the prompts, as they were computed: nothing is detached or written over."""

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owner_n: Tensor | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The first pass, over the prompts (G, heads, P, head size)."""
        self.keys, self.values = key_states, value_states
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """First the prompts' own; then those of each answer's prompt before the answer's, (n, heads, P + C, head size)."""
        if self.owner_n is None:
            self.lazy_initialization(key_states, value_states)
            return key_states, value_states
        keys = torch.cat([self.keys.index_select(0, self.owner_n), key_states], 2)
        return keys, torch.cat([self.values.index_select(0, self.owner_n), value_states], 2)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return int(self.keys.shape[2]) if self.is_initialized else 0

    def get_max_length(self) -> int:
        return -1


class PrefixCache(Cache):
    """Filled by one pass over the prompts, then read by any number of passes over answers."""

    def __init__(self, layers: int) -> None:
        self.prefix_layers = [PrefixLayer() for _ in range(layers)]
        super().__init__(layers=list(self.prefix_layers))

    def answer(self, owner_n: Tensor) -> None:
        """From now on row i reads after prompt `owner_n[i]`. ValueError where the model kept no keys and values."""
        if not all(layer.is_initialized for layer in self.prefix_layers):
            raise ValueError("the model did not fill the cache with the prompt's keys and values")
        for layer in self.prefix_layers:
            layer.owner_n = owner_n


def misfit(model: ScalarModel, longest: int) -> str | None:
    """Why prompts cannot be shared by this model and rows of up to `longest` tokens; None where they can."""
    try:
        context = context_length(model.backbone)
    except ValueError as wrong:
        return str(wrong)
    if longest > context:
        return (
            f"rows of {longest} tokens are longer than the {context} within which all layers see everything"
        )
    if getattr(model.backbone, "is_activation_checkpointing", False):
        return "gradient checkpointing inside the model keeps no keys and values"
    return None


def shared_scores(
    model: ScalarModel, prompts: Sequence[Sequence[int]], answers: Sequence[tuple[int, Sequence[int]]]
) -> Tensor:
    """Raw scores (N,) in fp32, read on the last token of each answer. answers: (number of its prompt, ids after it).

    Scores of one row do not depend on the others, and gradients reach the prompts through their keys and values.
    """
    device = model.score.weight.device
    cache = PrefixCache(int(model.config.num_hidden_layers))
    ids_GP, mask_GP = pad(prompts, device)
    places_GP = torch.arange(ids_GP.shape[1], device=device).expand_as(ids_GP)
    model.backbone(
        input_ids=ids_GP,
        # Without padding attention takes its fast causal path.
        attention_mask=None if bool(mask_GP.all()) else mask_GP,
        position_ids=places_GP,
        past_key_values=cache,
        use_cache=True,
    )
    order, found = [], []
    for part in answer_passes([len(ids) for _, ids in answers]):
        found.append(_score_after(model, cache, mask_GP, [answers[i] for i in part]))
        order += part
    back_N = torch.empty(len(order), dtype=torch.long, device=device)
    back_N[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
    return torch.cat(found)[back_N]


def _score_after(
    model: ScalarModel, cache: PrefixCache, mask_GP: Tensor, answers: Sequence[tuple[int, Sequence[int]]]
) -> Tensor:
    """One pass over some of the answers: scores (n,)."""
    device = mask_GP.device
    ids_nC, mask_nC = pad([ids for _, ids in answers], device)
    owner_n = torch.tensor([owner for owner, _ in answers], device=device)
    last_n = mask_nC.sum(1) - 1
    within_nC = torch.arange(ids_nC.shape[1], device=device).minimum(last_n[:, None])
    cache.answer(owner_n)
    hidden_nCD = model.backbone(
        input_ids=ids_nC,
        attention_mask=_answer_mask(mask_GP, owner_n, ids_nC.shape[1], model.backbone.dtype),
        # Padding repeats the last position: counted on it could leave the context.
        position_ids=mask_GP.sum(1)[owner_n][:, None] + within_nC,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    hidden_nD = hidden_nCD.gather(1, last_n[:, None, None].expand(-1, 1, hidden_nCD.shape[2])).squeeze(1)
    scores_n: Tensor = model.score(hidden_nD).squeeze(1).float()
    return scores_n


def _answer_mask(mask_GP: Tensor, owner_n: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Additive mask (n or 1, 1, C, P + C): an answer's token sees its whole prompt, and the answer up to itself.

    Four dimensions, so that transformers takes it as it is. Padding after an answer is seen by padding alone.
    """
    causal_CC = torch.ones(width, width, dtype=torch.bool, device=mask_GP.device).tril()
    # Where no prompt is padded all rows see alike, and one mask serves them all.
    prompt_nP = mask_GP[:1] if bool(mask_GP.all()) else mask_GP[owner_n]
    rows = prompt_nP.shape[0]
    seen_nCT = torch.cat([prompt_nP.bool()[:, None].expand(-1, width, -1), causal_CC.expand(rows, -1, -1)], 2)
    mask_nCT = torch.zeros(seen_nCT.shape, dtype=dtype, device=mask_GP.device)
    return mask_nCT.masked_fill_(~seen_nCT, torch.finfo(dtype).min)[:, None]


def answer_passes(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places by length, longest first, cut where padding would be more than PADDING_SHARE of a pass."""
    part: list[int] = []
    real = 0
    for place in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        padded = lengths[part[0]] * (len(part) + 1) if part else 0
        if padded > SMALL_PASS and padded - real - lengths[place] > PADDING_SHARE * padded:
            yield part
            part, real = [], 0
        part.append(place)
        real += lengths[place]
    if part:
        yield part
