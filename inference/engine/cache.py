"""Keys and values of many rows that grow at their own pace, for any decoder-only model with full attention.

`SlotCache` is an ordinary transformers `Cache`: the model's forward is unmodified. Each layer holds one tensor
[slots, kv heads, capacity, head size]; a decode step scatters one new token per row at the row's own
position and the model attends to a view of the first rows and positions, under a mask that hides the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

# S slots, B running rows (B <= S), H kv heads, T visible positions, C capacity, P prompt tokens, D head size

BUCKET = 32
"""Lengths are rounded up to this, so that shapes repeat from step to step. Tokens."""


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # its __init_subclass__ has no types
    """One layer's keys and values."""

    is_sliding = False
    keys: Tensor  # None only before the first prompt is written
    values: Tensor

    def __init__(self, slots: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.slots = slots
        self.positions_B = torch.empty(0, dtype=torch.long)
        self.rows_B = torch.empty(0, dtype=torch.long)
        self.visible = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate nothing but the shape: `reserve` gives the room. Zeros, since 0 * NaN of fresh memory would spread."""
        self.keys = self._room(key_states, 0)
        self.values = self._room(value_states, 0)
        self.is_initialized = True

    def _room(self, like: Tensor, capacity: int) -> Tensor:
        return like.new_zeros(self.slots, like.shape[1], capacity, like.shape[3])

    def reserve(self, capacity: int) -> None:
        """Room for `capacity` positions; what is there is kept."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = self._room(old, capacity)
            new[:, :, : old.shape[2]] = old
            setattr(self, name, new)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Put each row's new token (B, H, 1, D) at its position; return views (B, H, T, D)."""
        rows = key_states.shape[0]
        self.keys[self.rows_B, :, self.positions_B] = key_states[:, :, 0]
        self.values[self.rows_B, :, self.positions_B] = value_states[:, :, 0]
        return self.keys[:rows, :, : self.visible], self.values[:rows, :, : self.visible]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.visible, 0

    def get_seq_length(self) -> int:
        return self.visible

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """All layers' slots. Rows 0..B-1 are in use; whoever owns the rows keeps them compact with `move`."""

    def __init__(self, slots: int, layers: int) -> None:
        self.slot_layers = [SlotLayer(slots) for _ in range(layers)]
        super().__init__(layers=list(self.slot_layers))
        self.slots = slots
        self.layer_count = layers
        self.capacity = 0

    def write(self, slots: Sequence[int], prompt: PromptKV) -> None:
        """Copy one prompt's keys and values into all the given slots."""
        length = prompt.length
        self.reserve(length + 1, prompt)
        index = torch.tensor(list(slots), device=prompt.keys[0].device)
        for layer, keys_HPD, values_HPD in zip(self.slot_layers, prompt.keys, prompt.values, strict=True):
            layer.keys[index, :, :length] = keys_HPD
            layer.values[index, :, :length] = values_HPD

    def reserve(self, length: int, like: PromptKV | None = None) -> None:
        """Grow to at least `length` positions, by half at least, so that growing stays rare."""
        if length <= self.capacity:
            return
        self.capacity = round_up(max(length, self.capacity * 3 // 2))
        for place, layer in enumerate(self.slot_layers):
            if not layer.is_initialized and like is not None:
                layer.lazy_initialization(like.keys[place][None], like.values[place][None])
            layer.reserve(self.capacity)

    def begin_step(self, positions_B: Tensor, visible: int) -> None:
        """Say where the next token of rows 0..B-1 goes and how many positions the step sees."""
        self.reserve(visible)
        rows_B = torch.arange(positions_B.shape[0], device=positions_B.device)
        for layer in self.slot_layers:
            layer.positions_B, layer.rows_B, layer.visible = positions_B, rows_B, visible

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot over another's."""
        for layer in self.slot_layers:
            layer.keys[target, :, :length] = layer.keys[source, :, :length]
            layer.values[target, :, :length] = layer.values[source, :, :length]

    def wipe(self, slot: int) -> None:
        """Zero a slot that may hold NaN: a masked position's weight is 0, and 0 * NaN would reach the next row in it."""
        for layer in self.slot_layers:
            layer.keys[slot].zero_()
            layer.values[slot].zero_()

    def bytes(self) -> int:
        """Memory of all keys and values."""
        ready = [layer for layer in self.slot_layers if layer.is_initialized]
        return sum(2 * layer.keys.numel() * layer.keys.element_size() for layer in ready)


class PromptKV:
    """Keys and values of one prompt, per layer (H, P, D)."""

    __slots__ = ("keys", "length", "values")

    def __init__(self, keys: list[Tensor], values: list[Tensor]) -> None:
        self.keys, self.values = keys, values
        self.length = int(keys[0].shape[1])


def round_up(length: int) -> int:
    """The next multiple of BUCKET."""
    return -(-length // BUCKET) * BUCKET


def step_mask(positions_B: Tensor, visible: int, dtype: torch.dtype) -> Tensor:
    """Additive mask (B, 1, 1, T): 0 up to and including a row's own new token, very negative after it.

    Four dimensions, so that transformers takes it as it is.
    """
    place_T = torch.arange(visible, device=positions_B.device)
    hidden_BT = place_T > positions_B[:, None]
    mask_BT = torch.zeros(hidden_BT.shape, dtype=dtype, device=positions_B.device)
    return mask_BT.masked_fill_(hidden_BT, torch.finfo(dtype).min)[:, None, None]
