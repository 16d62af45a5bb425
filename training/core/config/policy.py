"""Settings that PPO and RLOO share."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import SCHEDULES, score_without_eos
from training.core.config.tuned import TunedConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyConfig(TunedConfig):
    """A policy trained on its own answers, with a price on distance from the reference. One step = one iteration."""

    adam_eps: float = setting(1e-5, "Adam's epsilon.", low=1e-12, high=1.0, source="LHP core.py; N+")
    lr_schedule: str = setting(
        "constant",
        "constant; linear to 0; cosine to 10 % of the peak.",
        choices=SCHEDULES,
        source="IG C.4: constant; LHP, N+: linear",
    )
    iterations: int = setting(
        40,
        "Rollout batches.",
        unit="iterations",
        low=1,
        high=10_000_000,
        source="ours: minutes for a small model",
    )
    episodes: int = setting(
        128,
        "Answers sampled per iteration.",
        unit="episodes",
        low=1,
        high=1_000_000,
        source="IG C.4: 512; ours: 128",
    )
    epochs: int = setting(
        4, "Passes over each rollout batch.", unit="epochs", low=1, high=100, source="LHP, N+: 4; IG C.4: 1"
    )
    minibatches: int = setting(
        4,
        "Optimizer steps per pass.",
        unit="steps / epoch",
        low=1,
        high=10_000,
        source="IG C.4: 512 / 64 = 8; ours: 4",
    )
    max_new_tokens: int = setting(
        64, "Longest answer.", unit="tokens", low=1, high=32_768, source="ours: suits the starter's answers"
    )
    ignore_eos: bool = setting(
        default=False,
        help="Sample on to max_new_tokens even past an EOS (for exact experiments).",
        source="ours: for exact experiments",
    )
    no_eos_reward: float | None = score_without_eos()
    clip: float = setting(
        0.2, "The policy's ratio counts only within 1 +- this.", low=1e-6, high=10.0, source="IG C.4"
    )
    dual_clip: float | None = setting(
        None,
        "Where the advantage is negative, the ratio counts at most as this; null: without bound.",
        low=1.0,
        high=1e6,
        source="1912.09729, Eq. 5: 3; ours: off",
    )
    kl_coef: float = setting(
        0.05,
        "Price per nat of distance from the reference.",
        unit="reward / nat",
        low=0.0,
        high=100.0,
        source="N+: 0.05; IG C.4: 0.02",
    )
    kl_target: float | None = setting(
        None,
        "Adapt kl_coef to hold this distance; null: fixed price.",
        unit="nats / response",
        low=1e-6,
        high=1e6,
        source="LHP: 6; ours: off",
    )
    kl_horizon: float = setting(
        10_000.0,
        "Episodes over which the adaptive price reacts.",
        unit="episodes",
        low=1.0,
        high=1e9,
        source="LHP",
    )
    ema_decay: float | None = setting(
        None,
        "Publish a moving average of the policy, with this decay per iteration; null: the last policy.",
        low=0.0,
        high=0.999999,
        source="IG C.4: 0.992; ours: off",
    )
    ptx_coef: float = setting(
        0.0,
        "Weight of the language-modelling gradient on inputs.pretraining in every optimizer step; 0: none.",
        low=0.0,
        high=1e4,
        source="IG C.4: 27.8; ours: off",
    )
    ptx_ratio: int = setting(
        8,
        "Such examples for each episode of a minibatch.",
        unit="examples",
        low=1,
        high=1000,
        source="IG C.4: 8",
    )
    epoch_kl_target: float | None = setting(
        None,
        "Skip the rest of an iteration's optimizer steps once a minibatch's approximate KL to the sampling policy passes"
        " 1.5 x this; null: no limit.",
        unit="nats / token",
        low=1e-9,
        high=1e3,
        source="TRL's former target_kl; ours: off",
    )
    kl_budget: float | None = setting(
        None,
        "End the run when rollouts are farther than this from the reference, and publish the last policy within it; null: no limit.",
        unit="nats / response",
        low=1e-6,
        high=1e6,
        source="2210.10760; ours: off",
    )
    score_drop_limit: float | None = setting(
        None,
        "End the run when the mean score falls this many standard deviations of the scores below its own moving average; null: no limit.",
        unit="standard deviations",
        low=0.01,
        high=1e3,
        source="ours: a collapse shows in it",
    )
    entropy_floor: float | None = setting(
        None,
        "End the run when the policy's entropy falls below this: it has stopped to explore; null: no limit.",
        unit="nats / token",
        low=0.0,
        high=20.0,
        source="ours: a collapse shows in it",
    )
    length_drift_limit: float | None = setting(
        None,
        "End the run when answers are this many times longer or shorter than in the first iteration; null: no limit.",
        low=1.01,
        high=1e3,
        source="2310.03716; ours: off",
    )
    judge_drop_limit: float | None = setting(
        None,
        "End the run when the mean of inputs.judge over five iterations falls below its best by this share of what it had"
        " gained since the first (and by more than noise), and publish the policy at its best; null: only watch.",
        unit="share of the gain",
        low=0.001,
        high=10.0,
        source="2210.10760; ours: off",
    )

    @property
    def answers_per_prompt(self) -> int:
        """Answers that an iteration samples to each of its prompts."""
        return 1

    @property
    def peak_rates(self) -> dict[str, float]:
        """The networks that learn, and how fast."""
        return {"policy": self.lr}

    @property
    def may_stop(self) -> bool:
        """Whether a rule may end the run early, so that the last good policy has to be kept."""
        limits = (
            self.kl_budget, self.score_drop_limit, self.entropy_floor, self.length_drift_limit, self.judge_drop_limit,
        )  # fmt: skip
        return any(limit is not None for limit in limits)

    def check(self) -> None:
        if self.dual_clip is not None and self.dual_clip <= 1 + self.clip:
            raise ValueError(
                f"dual_clip is {self.dual_clip}; it must be above 1 + clip ({1 + self.clip}). Remedy: 3, or null."
            )
        if self.kl_target is not None and self.kl_horizon < self.episodes:
            raise ValueError(
                f"kl_horizon is {self.kl_horizon:g}; it must be at least episodes ({self.episodes}), or one step could turn the"
                " price around. Remedy: 10000, or kl_target null."
            )
        if self.minibatches > self.episodes:
            raise ValueError(
                f"minibatches is {self.minibatches}; it must be at most episodes ({self.episodes}). Remedy: lower it."
            )
