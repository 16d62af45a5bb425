"""The settings of every stage. No torch: the launch form and the REST API validate with the same classes.

`IG` is InstructGPT (2203.02155), `N+` is "The N+ implementation details of RLHF with PPO" (2403.17031), `LHP` is the
code of "Fine-tuning language models from human preferences" (openai/lm-human-preferences).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.core.presets import PRESETS
from training.core.settings import Settings, setting

__all__ = ["CONFIGS", "FIELDS", "KINDS", "PRESETS", "PPOConfig", "PretrainConfig", "RewardConfig", "SFTConfig", "ScoreConfig",
           "StageConfig", "config_from_json", "describe", "preset"]  # fmt: skip

SCHEDULES = ("constant", "linear", "cosine")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig(Settings):
    """What every stage has: optimizer, schedule, memory, and how often it saves and looks."""

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
    micro_batch_tokens: int = setting(
        8192,
        "Padded tokens at most in one forward pass. It bounds memory and never changes a result.",
        unit="tokens",
        low=16,
        high=10_000_000,
    )
    save_every: int = setting(50, "Steps between checkpoints.", unit="steps", low=1, high=1_000_000)
    keep_checkpoints: int = setting(2, "Newest checkpoints kept.", low=1, high=1000)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig(StageConfig):
    """A byte-level BPE tokenizer and a GPT-2-shaped decoder from scratch, on raw text."""

    steps: int = setting(1000, "Optimizer steps.", unit="steps", low=1, high=10_000_000)
    batch_size: int = setting(16, "Blocks of `context` tokens per step.", unit="blocks", low=1, high=65_536)
    budget_seconds: float | None = setting(
        None, "Stop after this long, wherever the schedule is; null: no limit.", unit="s", low=1.0, high=1e7
    )
    vocab_size: int = setting(
        4096, "Largest vocabulary, bytes and special tokens included.", unit="tokens", low=280, high=262_144
    )
    layers: int = setting(4, "Transformer blocks.", low=1, high=96)
    width: int = setting(128, "Size of the residual stream.", low=8, high=16_384)
    heads: int = setting(4, "Attention heads; must divide width.", low=1, high=128)
    context: int = setting(256, "Longest sequence.", unit="tokens", low=16, high=131_072)
    valid_share: float = setting(
        0.01,
        "Share of documents held out, chosen by a hash of their text; 0 if the data has a validation file.",
        low=0.0,
        high=0.5,
    )
    autocast_bf16: bool = setting(
        default=False, help="Multiply matrices in bfloat16; weights and losses stay float32."
    )

    def check(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"heads is {self.heads}; it must divide width ({self.width}). Remedy: choose such a pair."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SFTConfig(StageConfig):
    """Supervised fine-tuning on demonstrations: the loss is on the answer's tokens, its EOS included (IG 3.5, C.1)."""

    epochs: int = setting(3, "Passes over the demonstrations (IG C.1: 16).", low=1, high=1000)
    batch_size: int = setting(
        16, "Demonstrations per step (IG C.1: 32, or 8 for 175B).", unit="demonstrations", low=1, high=65_536
    )
    dropout: float = setting(0.0, "Residual dropout (IG C.1: 0.2).", low=0.0, high=0.9)
    max_length: int = setting(
        2048,
        "Longer dialogues are dropped and counted, never cut (IG appendix C: 2k).",
        unit="tokens",
        low=8,
        high=131_072,
    )
    sort_window: int = setting(
        8,
        "Batches that are sorted by length together to save padding; 1: none.",
        unit="batches",
        low=1,
        high=10_000,
    )
    autocast_bf16: bool = setting(
        default=False, help="Multiply matrices in bfloat16; weights and losses stay float32."
    )


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


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig(StageConfig):
    """PPO against the reward model, with a price on distance from the reference (IG 3.5, C.4). One step = one iteration."""

    adam_eps: float = setting(1e-5, "Adam's epsilon (LHP core.py, N+).", low=1e-12, high=1.0)
    lr_schedule: str = setting("constant", "IG C.4: constant; N+ and LHP: linear to 0.", choices=SCHEDULES)
    value_lr: float = setting(
        1e-3, "Peak learning rate of the value network (IG C.4: 9e-6).", low=0.0, high=1.0
    )
    iterations: int = setting(40, "Rollout batches.", unit="iterations", low=1, high=10_000_000)
    episodes: int = setting(
        128, "Answers sampled per iteration (IG C.4: 512).", unit="episodes", low=1, high=1_000_000
    )
    epochs: int = setting(4, "Passes over each rollout batch (IG C.4: 1; LHP, N+: 4).", low=1, high=100)
    minibatches: int = setting(4, "Optimizer steps per pass (IG C.4: 512 / 64 = 8).", low=1, high=10_000)
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", low=1, high=32_768)
    ignore_eos: bool = setting(
        default=False, help="Sample on to max_new_tokens even past an EOS (for exact experiments)."
    )
    no_eos_reward: float | None = setting(
        -1.0,
        "Score of an answer that never ended (LHP, N+: -1); null: let the reward model read it anyway.",
        unit="reward",
        low=-1e6,
        high=1e6,
    )
    kl_coef: float = setting(
        0.05,
        "Price per nat of distance from the reference (IG C.4: 0.02; N+: 0.05).",
        unit="reward / nat",
        low=0.0,
        high=100.0,
    )
    kl_target: float | None = setting(
        None,
        "Adapt kl_coef to hold this distance (LHP: 6); null: fixed price.",
        unit="nats / response",
        low=1e-6,
        high=1e6,
    )
    kl_horizon: float = setting(
        10_000.0, "Episodes over which the adaptive price reacts (LHP).", unit="episodes", low=1.0, high=1e9
    )
    kl_budget: float | None = setting(
        None,
        "End the run when rollouts are farther than this from the reference, and publish the last policy within it; null: no limit.",
        unit="nats / response",
        low=1e-6,
        high=1e6,
    )
    epoch_kl_limit: float | None = setting(
        None,
        "Leave the remaining passes over a rollout batch when a minibatch's approximate KL to the sampling policy passes this.",
        unit="nats / token",
        low=1e-9,
        high=1e3,
    )
    gamma: float = setting(1.0, "Discount (IG: none).", low=0.0, high=1.0)
    lam: float = setting(0.95, "Lambda of generalised advantage estimation (LHP, N+).", low=0.0, high=1.0)
    clip: float = setting(
        0.2, "The policy's ratio counts only within 1 +- this (IG C.4).", low=1e-6, high=10.0
    )
    value_clip: float = setting(
        0.2, "The value counts only within this of its old one (LHP, N+).", unit="reward", low=1e-6, high=1e6
    )
    value_coef: float = setting(0.1, "Weight of the value loss (LHP, N+).", low=0.0, high=100.0)
    whiten_rewards: bool = setting(
        default=False,
        help="Divide rewards by their deviation without moving their mean (LHP; off for summaries in N+).",
    )
    ema_decay: float | None = setting(
        None,
        "Publish a moving average of the policy, with this decay per iteration (IG C.4: 0.992); null: the last policy.",
        low=0.0,
        high=0.999999,
    )

    def check(self) -> None:
        if self.minibatches > self.episodes:
            raise ValueError(
                f"minibatches is {self.minibatches}; it must be at most episodes ({self.episodes}). Remedy: lower it."
            )


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


CONFIGS: dict[str, type[StageConfig]] = {
    "pretrain": PretrainConfig,
    "sft": SFTConfig,
    "reward": RewardConfig,
    "ppo": PPOConfig,
    "score": ScoreConfig,
}
KINDS = tuple(CONFIGS)


def config_from_json(kind: str, data: Mapping[str, Any]) -> StageConfig:
    """The typed config of a stage; ValueError names what is wrong and what to do."""
    if kind not in CONFIGS:
        raise ValueError(f"kind is {kind!r}. Remedy: use one of {', '.join(KINDS)}.")
    return CONFIGS[kind].from_json(data)


def describe(kind: str) -> list[dict[str, Any]]:
    """The fields of a stage for a launch form: name, type, nullable, default, min, max, choices, unit, help."""
    return CONFIGS[kind].describe()


FIELDS: dict[str, list[dict[str, Any]]] = {kind: describe(kind) for kind in KINDS}


def preset(name: str, kind: str) -> StageConfig:
    """A named preset as a typed config."""
    return config_from_json(kind, PRESETS[name].get(kind, {}))
