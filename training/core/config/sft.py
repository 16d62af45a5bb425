"""Settings of supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class SFTConfig(StageConfig):
    """Supervised fine-tuning on demonstrations: the loss is on the answer's tokens, its EOS included (IG 3.5, C.1)."""

    epochs: int = setting(3, "Passes over the demonstrations (IG C.1: 16).", low=1, high=1000)
    batch_size: int = setting(
        16, "Demonstrations per step (IG C.1: 32, or 8 for 175B).", unit="demonstrations", low=1, high=65_536
    )
    dropout: float = setting(0.0, "Residual dropout (IG C.1: 0.2).", low=0.0, high=0.9)
    max_length: int = setting(
        2048,
        "Longer dialogues are dropped and counted, never cut (IG appendix C: 2k).",
        unit="tokens",
        low=8,
        high=131_072,
    )
    sort_window: int = setting(
        8,
        "Batches that are sorted by length together to save padding; 1: none.",
        unit="batches",
        low=1,
        high=10_000,
    )
    autocast_bf16: bool = setting(
        default=False, help="Multiply matrices in bfloat16; weights and losses stay float32."
    )
