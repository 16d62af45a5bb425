"""Settings of scoring."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig(StageConfig):
    """Rewards and distances of answers that are there already. Of what all stages share only memory matters here."""

    no_eos_reward: float | None = setting(
        -1.0,
        "Score of an answer that never ended, as in PPO; null: let the reward model read it anyway.",
        unit="reward",
        low=-1e6,
        high=1e6,
    )
