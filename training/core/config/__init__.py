"""The settings of every stage. No torch: the launch form and the REST API validate with the same classes.

Each names the source of its default, with the abbreviations of training/core/presets.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.core.config.base import StageConfig
from training.core.config.best_of_n import BestOfNConfig
from training.core.config.dpo import DPOConfig
from training.core.config.policy import PolicyConfig
from training.core.config.ppo import PPOConfig
from training.core.config.pretrain import PretrainConfig
from training.core.config.reward import RewardConfig
from training.core.config.rloo import RLOOConfig
from training.core.config.score import ScoreConfig
from training.core.config.sft import SFTConfig
from training.core.config.tuned import TunedConfig
from training.core.presets import PRESETS
from training.core.settings import Settings

__all__ = ["CONFIGS", "FIELDS", "KINDS", "PRESETS", "BestOfNConfig", "DPOConfig", "PPOConfig", "PolicyConfig", "PretrainConfig",
           "RLOOConfig", "RewardConfig", "SFTConfig", "ScoreConfig", "Settings", "StageConfig", "TunedConfig", "config_from_json", "describe", "preset"]  # fmt: skip

CONFIGS: dict[str, type[Settings]] = {
    "pretrain": PretrainConfig,
    "sft": SFTConfig,
    "reward": RewardConfig,
    "ppo": PPOConfig,
    "rloo": RLOOConfig,
    "dpo": DPOConfig,
    "best_of_n": BestOfNConfig,
    "score": ScoreConfig,
}
KINDS = tuple(CONFIGS)
ONE_PROCESS = ("score", "best_of_n")
"""Kinds that train nothing, and run in one process; all others may be spread over several."""


def config_from_json(kind: str, data: Mapping[str, Any]) -> Settings:
    """The typed config of a stage; ValueError names what is wrong and what to do."""
    if kind not in CONFIGS:
        raise ValueError(f"kind is {kind!r}. Remedy: use one of {', '.join(KINDS)}.")
    return CONFIGS[kind].from_json(data)


def describe(kind: str) -> list[dict[str, Any]]:
    """The fields of a stage for a launch form: name, type, nullable, default, min, max, choices, unit, help, source."""
    return CONFIGS[kind].describe()


FIELDS: dict[str, list[dict[str, Any]]] = {kind: describe(kind) for kind in KINDS}


def preset(name: str, kind: str) -> Settings:
    """A named preset as a typed config."""
    return config_from_json(kind, PRESETS[name].get(kind, {}))
