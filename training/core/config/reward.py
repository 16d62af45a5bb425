"""Settings of reward models."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.tuned import TunedConfig
from training.core.settings import setting

ZEROS = ("demonstrations", "samples")
SHARED_PREFIX = ("auto", "on", "off")
TIES = ("drop", "half")
MARGIN_BY = ("rank_distance", "rating")


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig(TunedConfig):
    """A scalar model of which answer people prefer, from whole rankings of K answers (IG Eq. 1, C.2)."""

    adam_eps: float = setting(1e-5, "Adam's epsilon.", low=1e-12, high=1.0, source="LHP core.py; N+")
    epochs: int = setting(
        1,
        "Passes over the rankings; more than one overfit quickly.",
        unit="epochs",
        low=1,
        high=100,
        source="IG C.2: 1",
    )
    batch_size: int = setting(
        8,
        "Rankings per step. Rankings of one prompt stay in one step.",
        unit="rankings",
        low=1,
        high=65_536,
        source="IG C.2: 64 prompts; ours: 8",
    )
    sort_window: int = setting(
        8,
        "Batches that are sorted by length together to save padding; 1: none.",
        unit="batches",
        low=1,
        high=10_000,
        source="ours: saves padding",
    )
    max_length: int = setting(
        2048,
        "Answers whose prompt + answer is longer are left out and counted.",
        unit="tokens",
        low=8,
        high=131_072,
        source="IG C: 2k",
    )
    shared_prefix: str = setting(
        "auto",
        "Read each prompt once, and its answers after its keys and values. It is compared with the plain way on the first"
        " batch: auto goes on the plain way where they differ, on ends the run.",
        choices=SHARED_PREFIX,
        source="ours: docs/decisions/0010",
    )
    ties: str = setting(
        "drop",
        "Tied answers make no pair (drop), or one that pulls both scores together (half: half a pair each way).",
        choices=TIES,
        source="IG C.2: drop",
    )
    margin: float = setting(
        0.0,
        "The better score should lead by this much for each step of the gap; 0: by none.",
        unit="reward",
        low=0.0,
        high=100.0,
        source="Llama 2, 2307.09288, 3.2.2; ours: off",
    )
    margin_by: str = setting(
        "rank_distance",
        "What the gap is: tiers between the two answers, or the difference of the ratings that the labeler gave them.",
        choices=MARGIN_BY,
        source="Llama 2, 2307.09288, 3.2.2: ratings; ours: tiers",
    )
    normalize: str = setting(
        "demonstrations",
        "What published scores are measured from: mean 0 over inputs.demonstrations, or over the training answers without "
        "them; or mean 0 and deviation 1 over answers sampled by the model that it starts from, where it also "
        "starts with deviation 1.",
        choices=ZEROS,
        source="IG 3.5; 1909.08593, 2.1; LHP",
    )
    normalize_samples: int = setting(
        256, "Answers sampled for that.", unit="answers", low=2, high=1_000_000, source="LHP launch.py: 256"
    )
    normalize_tokens: int = setting(
        64,
        "Longest such answer.",
        unit="tokens",
        low=1,
        high=32_768,
        source="ours: suits the starter's answers",
    )
    centering: float = setting(
        0.0,
        "Weight of (r_i + r_j)^2, which holds scores near 0; 0: none.",
        low=0.0,
        high=1.0,
        source="2312.09244, Eq. 2: 0.01; ours: off",
    )
