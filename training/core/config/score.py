"""Settings of scoring."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import score_without_eos, tokens_at_once
from training.core.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig(Settings):
    """Rewards and distances of answers that are there already."""

    micro_batch_tokens: int = tokens_at_once()
    no_eos_reward: float | None = score_without_eos()
