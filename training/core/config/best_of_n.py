"""Settings of best-of-n."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfNConfig(StageConfig):
    """The answer that a reward model likes best of n (Stiennon et al. 2009.01325). Nothing is trained: of what all stages share only memory matters here."""

    n: int = setting(
        16, "Answers drawn for each prompt; the best one is kept.", unit="answers", low=1, high=65_536
    )
    batch_size: int = setting(
        32, "Prompts answered between two rows of metrics.", unit="prompts", low=1, high=65_536
    )
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", low=1, high=32_768)
    ignore_eos: bool = setting(
        default=False,
        help="Sample on to max_new_tokens even past an EOS, and keep answers without one (for exact experiments).",
    )
    no_eos_reward: float | None = setting(
        -1.0,
        "Score of an answer that never ended, as in PPO; null: let the reward model read it anyway. Such an answer is never kept.",
        unit="reward",
        low=-1e6,
        high=1e6,
    )
