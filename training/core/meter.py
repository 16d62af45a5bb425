"""What a step costs: seconds by phase, tokens, arithmetic, bytes and memory. They are the perf/ numbers of metrics.jsonl.

A process has one meter, as it has one clock: stages say what they do (`with meter.phase("eval")`, `meter.trained(...)`),
and the loop reads and clears it after each step. It never changes what is computed.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import nn

from training.core.devices import Peak, peak_of
from training.core.parallel import world

MEGA = 1e6
LEARNING = ("forward_backward", "optimizer")  # the phases in which `trained` tokens are learned from
PHASES = ("data", *LEARNING, "rollout", "score", "eval", "checkpoint")


class Meter:
    """Adds up until `take` is called."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.peak: Peak | None = None
        self.bf16 = False
        self._clear()

    def use(self, device: torch.device, *, bf16: bool) -> None:
        """What this process computes on, and whether it multiplies matrices in bfloat16."""
        self.device, self.bf16 = device, bf16
        self.peak = peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
        self._clear()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block to a phase. Phases do not nest."""
        began = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # Its work is done later than it is asked for.
            self._seconds[name] += time.perf_counter() - began

    def trained(self, rows: Iterable[tuple[int, int]], *models: nn.Module) -> None:
        """All ranks together have learned from these pieces once, with each of the models: (tokens, how many tokens each of
        them could look at)."""
        tokens, looks = 0, 0
        for count, context in rows:
            tokens += count
            looks += count * context
        self._tokens += tokens
        self._flops += sum(training_flops(model, tokens, looks) for model in models)

    def decoded(
        self, model: nn.Module, steps: int, answers: Iterable[tuple[int, int]], seconds: float
    ) -> None:
        """This rank's engine took so many steps to write answers: (prompt tokens, answer tokens)."""
        written = list(answers)
        self._bytes += decoding_bytes(model, steps, written)
        self._sampled += sum(tokens for _, tokens in written)
        self._decode_seconds += seconds

    def take(self) -> dict[str, float]:
        """The perf/ numbers since the last call; clears them."""
        found = {f"perf/{name}_s": self._seconds[name] for name in PHASES if name in self._seconds}
        found["perf/memory_mb"] = self._memory() / MEGA
        learning = sum(self._seconds[name] for name in LEARNING)
        if self._tokens and learning:
            found["perf/tokens_per_s"] = self._tokens / learning
        if self._sampled and self._decode_seconds:
            found["perf/sampled_tokens_per_s"] = self._sampled / self._decode_seconds
        if self.peak is not None:
            if self._flops and learning:
                peak = self.peak.bfloat16 if self.bf16 else self.peak.float32
                found["perf/mfu"] = self._flops / learning / (peak * world.size)
            if self._bytes and self._decode_seconds:
                found["perf/mbu"] = self._bytes / self._decode_seconds / self.peak.bandwidth
        self._clear()
        return found

    def _memory(self) -> float:
        """Most bytes held so far: on the GPU by tensors, else by the process."""
        if self.device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self.device))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(most) if sys.platform == "darwin" else most * 1024.0

    def _clear(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._tokens = self._sampled = 0
        self._flops = self._bytes = self._decode_seconds = 0.0


# --- how much work it is at least -----------------------------------------------------------------------------------


def multiplied_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights that a token is multiplied by: all but embeddings, which are looked up, unless one is the head too."""
    if model not in _multiplied:
        _multiplied[model] = _multiplied_weights(model)
    return _multiplied[model]


# Looked up once: a step of a small model takes little longer than to walk over its modules.
_multiplied: WeakKeyDictionary[nn.Module, list[nn.Parameter]] = WeakKeyDictionary()


def _multiplied_weights(model: nn.Module) -> list[nn.Parameter]:
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    heads = {id(p) for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters()}
    return [p for p in model.parameters() if id(p) not in embeddings or id(p) in heads]


def training_flops(model: nn.Module, tokens: int, looks: int) -> float:
    """Arithmetic of one forward and one backward pass, FLOP: 6 N for each token and 12 L d for each pair of tokens of which
    one may look at the other, causal or not (nanoGPT's estimate_mfu after 2204.02311 B, with T per sequence). A frozen weight
    counts 4: it hands gradients on and has none itself. What is computed twice (gradient checkpointing) or for padding does
    not count."""
    weights = sum((6 if p.requires_grad else 4) * p.numel() for p in multiplied_weights(model))
    config = _config(model)
    return float(weights * tokens + 12 * config.num_hidden_layers * config.hidden_size * looks)


def decoding_bytes(model: nn.Module, steps: int, answers: Iterable[tuple[int, int]]) -> float:
    """Bytes that must be read to decode: the weights once a step, and for each token the keys and values before it."""
    weights = sum(p.numel() * p.element_size() for p in multiplied_weights(model))
    config = _config(model)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size = next(model.parameters()).element_size()
    per_token = 2 * config.num_hidden_layers * heads * width * size
    read = sum(n * prompt + n * (n - 1) // 2 for prompt, n in answers)
    return float(steps) * weights + float(per_token) * read


def _config(model: nn.Module) -> Any:
    return cast(Any, model).config.get_text_config()


def whole(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Sequences read from their start to their end, for `trained`."""
    return [(length, length) for length in lengths]


meter = Meter()
