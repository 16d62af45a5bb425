"""Prompts on their way into the engine: read once for all their candidates, in pieces where they are long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from inference.engine.cache import PromptKV
from inference.engine.forward import batches, pad_left
from inference.engine.models import position_ids_of

# B rows, P tokens of the longest prompt, V vocabulary

READ_TOKENS = 512
"""Most prompt tokens, padding included, that one forward reads, so that rows being written never wait long."""


class SharedPrompt:
    """A prompt, how far the model has read it, and in the end its keys, values and next-token logits (V,)."""

    __slots__ = ("__weakref__", "_cache", "ids", "kv", "logits_V", "read")

    def __init__(self, ids: tuple[int, ...]) -> None:
        self.ids = ids
        self.read = 0  # tokens
        self.kv: PromptKV | None = None
        self.logits_V: Tensor | None = None
        self._cache: Any = None

    def ready(self) -> bool:
        """Whether candidates can go on from it."""
        return self.logits_V is not None

    def go_on(self, model: PreTrainedModel) -> int:
        """Read the next piece; how many tokens that was.

        The pieces' ends hang on the prompt alone, not on what else is to be done, so its logits do too.
        """
        piece = self.ids[self.read : self.read + READ_TOKENS]
        if self._cache is None:
            self._cache = DynamicCache()  # without a config: every layer keeps all positions
        ids_BP = torch.tensor([piece], device=model.device)
        logits_BPV = model(
            input_ids=ids_BP, past_key_values=self._cache, use_cache=True, logits_to_keep=1
        ).logits
        self.read += len(piece)
        if self.read == len(self.ids):
            self.take(logits_BPV[0, -1], self._cache, 0, 0)
            self._cache = None
        return len(piece)

    def take(self, logits_V: Tensor, cache: Any, row: int, start: int) -> None:
        """Own one row of a cache, from position `start` on, and the logits at its end."""
        self.kv = PromptKV(
            [layer.keys[row, :, start:] for layer in cache.layers],
            [layer.values[row, :, start:] for layer in cache.layers],
        )
        self.logits_V, self.read = logits_V, len(self.ids)


def read_some(model: PreTrainedModel, prompts: Sequence[SharedPrompt]) -> int:
    """One forward for the first of the unread prompts and those of like length; how many tokens were read."""
    lengths = [len(prompt.ids) for prompt in prompts]
    places = next(places for places in batches(lengths, READ_TOKENS) if 0 in places)
    if len(places) == 1:
        return prompts[0].go_on(model)
    together = [prompts[place] for place in places]
    _read_together(model, together)
    return sum(len(prompt.ids) for prompt in together)


def _read_together(model: PreTrainedModel, prompts: list[SharedPrompt]) -> None:
    """Padded on the left, so that all end at the same place."""
    ids_BP, mask_BP = pad_left([prompt.ids for prompt in prompts], model.device)
    cache: Any = DynamicCache()
    logits_BPV = model(
        input_ids=ids_BP,
        attention_mask=mask_BP,
        position_ids=None if mask_BP is None else position_ids_of(mask_BP),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    for row, prompt in enumerate(prompts):
        prompt.take(logits_BPV[row, -1], cache, row, ids_BP.shape[1] - len(prompt.ids))
