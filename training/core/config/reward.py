"""Settings of reward models."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig(StageConfig):
    """A scalar model of which answer people prefer, from whole rankings of K answers (IG Eq. 1, C.2)."""

    adam_eps: float = setting(1e-5, "Adam's epsilon (LHP core.py, N+).", low=1e-12, high=1.0)
    epochs: int = setting(
        1, "Passes over the rankings. IG C.2: exactly 1, more overfit quickly.", low=1, high=100
    )
    batch_size: int = setting(
        8, "Rankings (prompts) per step (IG C.2: 64).", unit="rankings", low=1, high=65_536
    )
    max_length: int = setting(
        2048,
        "Answers whose prompt + answer is longer are left out and counted.",
        unit="tokens",
        low=8,
        high=131_072,
    )
    autocast_bf16: bool = setting(
        default=False, help="Multiply matrices in bfloat16; weights, head and losses stay float32."
    )
