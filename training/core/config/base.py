"""What every stage that learns can be told, and the settings that others share with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.core.settings import Settings, setting

SCHEDULES = ("constant", "linear", "cosine")
DTYPES = ("float32", "bfloat16")


def tokens_at_once() -> Any:
    """`micro_batch_tokens` of every stage."""
    return setting(
        8192,
        "Padded tokens at most in one forward pass. It bounds memory and never changes a result.",
        unit="tokens",
        low=16,
        high=10_000_000,
        source="ours: fits a small machine",
    )


def score_without_eos(more: str = "") -> Any:
    """`no_eos_reward` of every stage that scores answers."""
    return setting(
        -1.0,
        "Score of an answer that never ended; null: let the reward model read it anyway." + more,
        unit="reward",
        low=-1e6,
        high=1e6,
        source="LHP, N+: -1",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig(Settings):
    """What every stage that learns has: optimizer, schedule, memory, and how often it saves and looks."""

    lr: float = setting(
        1e-3, "Peak learning rate.", low=0.0, high=1.0, source="ours: for about a million weights"
    )
    lr_schedule: str = setting(
        "cosine",
        "constant; linear to 0; cosine to 10 % of the peak.",
        choices=SCHEDULES,
        source="IG C.1, C.2: cosine",
    )
    warmup_steps: int = setting(
        0,
        "The rate climbs from 1/10 of the peak to the peak.",
        unit="steps",
        low=0,
        high=1_000_000,
        source="IG C.1: none; IG C.4: 10",
    )
    adam_beta1: float = setting(0.9, "Decay of Adam's first moment.", low=0.0, high=0.9999, source="IG C")
    adam_beta2: float = setting(0.95, "Decay of Adam's second moment.", low=0.0, high=0.99999, source="IG C")
    adam_eps: float = setting(
        1e-8,
        "Adam's epsilon; 1e-5 in reward models and PPO.",
        low=1e-12,
        high=1.0,
        source="1412.6980, Algorithm 1",
    )
    weight_decay: float = setting(
        0.0,
        "Decoupled decay of matrices; biases and norms have none.",
        low=0.0,
        high=1.0,
        source="1711.05101, Algorithm 2; ours: off",
    )
    max_grad_norm: float | None = setting(
        None,
        "Clip the gradient to this length; null: only measure it.",
        low=1e-6,
        high=1e6,
        source="LHP, N+: null",
    )
    micro_batch_tokens: int = tokens_at_once()
    autocast_bf16: bool = setting(
        default=False,
        help="Multiply matrices in bfloat16; weights, log-probabilities and losses stay float32.",
        source="1905.12322; ours: off",
    )
    gradient_checkpointing: bool = setting(
        default=False,
        help="Keep one block's activations at a time and compute the others again in the backward pass: about a third "
        "more time for memory that no longer grows with the number of blocks. It never changes a result.",
        source="1604.06174; ours: off",
    )
    save_every: int = setting(
        50,
        "Steps between checkpoints.",
        unit="steps",
        low=1,
        high=1_000_000,
        source="ours: often enough for short runs",
    )
    keep_checkpoints: int = setting(
        2,
        "Newest checkpoints kept.",
        unit="checkpoints",
        low=1,
        high=1000,
        source="ours: the last one and one to spare",
    )
    eval_every: int = setting(
        50,
        "Steps between measurements on the validation set (also at the first and last step).",
        unit="steps",
        low=1,
        high=1_000_000,
        source="ours: often enough for short runs",
    )
    sample_every: int = setting(
        50,
        "Steps between answers to a few fixed validation prompts.",
        unit="steps",
        low=1,
        high=1_000_000,
        source="ours: often enough for short runs",
    )
    sample_tokens: int = setting(
        64,
        "Longest such answer.",
        unit="tokens",
        low=1,
        high=32_768,
        source="ours: suits the starter's answers",
    )
    save_dtype: str = setting(
        "float32",
        "Number format of the published weights; training itself is in float32.",
        choices=DTYPES,
        source="ours: as it was trained",
    )
