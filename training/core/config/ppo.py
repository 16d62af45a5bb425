"""Settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import SCHEDULES, StageConfig
from training.core.settings import setting


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
