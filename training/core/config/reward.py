"""Settings of reward models."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import StageConfig
from training.core.settings import setting

ZEROS = ("demonstrations", "samples")
SHARED_PREFIX = ("auto", "on", "off")
TIES = ("drop", "half")
MARGIN_BY = ("rank_distance", "rating")


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig(StageConfig):
    """A scalar model of which answer people prefer, from whole rankings of K answers (IG Eq. 1, C.2)."""

    adam_eps: float = setting(1e-5, "Adam's epsilon (LHP core.py, N+).", low=1e-12, high=1.0)
    epochs: int = setting(
        1,
        "Passes over the rankings. IG C.2: exactly 1, more overfit quickly.",
        unit="epochs",
        low=1,
        high=100,
    )
    batch_size: int = setting(
        8,
        "Rankings per step (IG C.2: 64 prompts). Rankings of one prompt stay in one step.",
        unit="rankings",
        low=1,
        high=65_536,
    )
    sort_window: int = setting(
        8,
        "Batches that are sorted by length together to save padding; 1: none.",
        unit="batches",
        low=1,
        high=10_000,
    )
    max_length: int = setting(
        2048,
        "Answers whose prompt + answer is longer are left out and counted.",
        unit="tokens",
        low=8,
        high=131_072,
    )
    shared_prefix: str = setting(
        "auto",
        "Read each prompt once, and its answers after its keys and values. It is compared with the plain way on the first"
        " batch: auto goes on the plain way where they differ, on ends the run.",
        choices=SHARED_PREFIX,
    )
    ties: str = setting(
        "drop",
        "Tied answers make no pair (IG C.2: drop), or one that pulls both scores together (half: half a pair each way).",
        choices=TIES,
    )
    margin: float = setting(
        0.0,
        "The better score should lead by this much for each step of the gap (Llama 2, 2307.09288, 3.2.2); 0: by none.",
        unit="reward",
        low=0.0,
        high=100.0,
    )
    margin_by: str = setting(
        "rank_distance",
        "What the gap is: tiers between the two answers, or the difference of the ratings that the labeler gave them.",
        choices=MARGIN_BY,
    )
    normalize: str = setting(
        "demonstrations",
        "What published scores are measured from: mean 0 over inputs.demonstrations, or over the training answers without "
        "them (IG 3.5); or mean 0 and deviation 1 over answers sampled by the model that it starts from, where it also "
        "starts with deviation 1 (1909.08593, 2.1; LHP).",
        choices=ZEROS,
    )
    normalize_samples: int = setting(
        256, "Answers sampled for that (LHP launch.py: 256).", unit="answers", low=2, high=1_000_000
    )
    normalize_tokens: int = setting(64, "Longest such answer.", unit="tokens", low=1, high=32_768)
    centering: float = setting(
        0.0,
        "Weight of (r_i + r_j)^2, which holds scores near 0 (2312.09244, Eq. 2: 0.01); 0: none.",
        low=0.0,
        high=1.0,
    )
