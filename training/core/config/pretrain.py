"""Settings of pretraining."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig(StageConfig):
    """A byte-level BPE tokenizer and a GPT-2-shaped decoder from scratch, on raw text."""

    steps: int = setting(
        1000,
        "Optimizer steps.",
        unit="steps",
        low=1,
        high=10_000_000,
        source="ours: minutes for a small model",
    )
    batch_size: int = setting(
        16,
        "Blocks of `context` tokens per step.",
        unit="blocks",
        low=1,
        high=65_536,
        source="ours: fits two cores",
    )
    budget_seconds: float | None = setting(
        None,
        "Stop after this long, wherever the schedule is; a resumed run counts on from its checkpoint; null: no limit.",
        unit="s",
        low=1.0,
        high=1e7,
        source="ours: for a machine that is shared",
    )
    vocab_size: int = setting(
        4096,
        "Largest vocabulary, bytes and special tokens included.",
        unit="tokens",
        low=280,
        high=262_144,
        source="ours: fits a small model",
    )
    layers: int = setting(
        4, "Transformer blocks.", unit="blocks", low=1, high=96, source="ours: fits two cores"
    )
    width: int = setting(
        128, "Size of the residual stream.", low=8, high=16_384, source="ours: fits two cores"
    )
    heads: int = setting(
        4, "Attention heads; must divide width.", unit="heads", low=1, high=128, source="ours: fits two cores"
    )
    context: int = setting(
        256, "Longest sequence.", unit="tokens", low=16, high=131_072, source="ours: fits two cores"
    )
    valid_share: float = setting(
        0.01,
        "Share of documents held out, chosen by a hash of their text; 0 if the data has a validation file.",
        low=0.0,
        high=0.5,
        source="ours: enough to measure by",
    )

    def check(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"heads is {self.heads}; it must divide width ({self.width}). Remedy: choose such a pair."
            )
