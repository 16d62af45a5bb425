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
    )


def score_without_eos(more: str = "") -> Any:
    """`no_eos_reward` of every stage that scores answers."""
    return setting(
        -1.0,
        "Score of an answer that never ended (LHP, N+: -1); null: let the reward model read it anyway."
        + more,
        unit="reward",
        low=-1e6,
        high=1e6,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig(Settings):
    """What every stage that learns has: optimizer, schedule, memory, and how often it saves and looks."""

    lr: float = setting(1e-3, "Peak learning rate.", low=0.0, high=1.0)
    lr_schedule: str = setting(
        "cosine", "constant; linear to 0; cosine to 10 % of the peak (IG C.1, C.2).", choices=SCHEDULES
    )
    warmup_steps: int = setting(
        0,
        "The rate climbs from 1/10 of the peak to the peak (IG C.4: 10 in PPO).",
        unit="steps",
        low=0,
        high=1_000_000,
    )
    adam_beta1: float = setting(0.9, "Decay of Adam's first moment (IG appendix C).", low=0.0, high=0.9999)
    adam_beta2: float = setting(0.95, "Decay of Adam's second moment (IG appendix C).", low=0.0, high=0.99999)
    adam_eps: float = setting(
        1e-8, "Adam's epsilon; 1e-5 in reward models and PPO (LHP core.py, N+).", low=1e-12, high=1.0
    )
    weight_decay: float = setting(
        0.0, "Decoupled decay of matrices; biases and norms have none.", low=0.0, high=1.0
    )
    max_grad_norm: float | None = setting(
        None, "Clip the gradient to this length; null: only measure it (N+, LHP).", low=1e-6, high=1e6
    )
    micro_batch_tokens: int = tokens_at_once()
    autocast_bf16: bool = setting(
        default=False,
        help="Multiply matrices in bfloat16; weights, log-probabilities and losses stay float32.",
    )
    gradient_checkpointing: bool = setting(
        default=False,
        help="Keep one block's activations at a time and compute the others again in the backward pass: about a third "
        "more time for memory that no longer grows with the number of blocks. It never changes a result.",
    )
    save_every: int = setting(50, "Steps between checkpoints.", unit="steps", low=1, high=1_000_000)
    keep_checkpoints: int = setting(2, "Newest checkpoints kept.", unit="checkpoints", low=1, high=1000)
    eval_every: int = setting(
        50,
        "Steps between measurements on the validation set (also at the first and last step).",
        unit="steps",
        low=1,
        high=1_000_000,
    )
    sample_every: int = setting(
        50, "Steps between answers to a few fixed validation prompts.", unit="steps", low=1, high=1_000_000
    )
    sample_tokens: int = setting(64, "Longest such answer.", unit="tokens", low=1, high=32_768)
    save_dtype: str = setting(
        "float32", "Number format of the published weights; training itself is in float32.", choices=DTYPES
    )
