"""Settings of the stages that start from a model: SFT, reward models, DPO, PPO and RLOO."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedConfig(StageConfig):
    """Whether all weights of the model learn, or low-rank adapters beside its matrices (Hu et al. 2106.09685)."""

    lora_rank: int = setting(
        0,
        "Train adapters of this rank beside the blocks' matrices, which stay as they are; 0: train all weights. Memory for "
        "gradients, Adam and checkpoints is then the adapters' alone. They usually want a higher lr, and what is published is "
        "a whole model with the adapters added in.",
        unit="rank",
        low=0,
        high=1024,
        source="2106.09685, 7.2: 1 to 64; ours: off",
    )
    lora_alpha: float = setting(
        16.0,
        "What the adapters say counts lora_alpha / lora_rank times.",
        low=1e-3,
        high=1e4,
        source="2106.09685, 4.1: the first rank that is tried; ours: for ranks around it",
    )
