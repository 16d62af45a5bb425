"""Settings that PPO and RLOO share."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import SCHEDULES, StageConfig, score_without_eos
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyConfig(StageConfig):
    """A policy trained on its own answers, with a price on distance from the reference. One step = one iteration."""

    adam_eps: float = setting(1e-5, "Adam's epsilon (LHP core.py, N+).", low=1e-12, high=1.0)
    lr_schedule: str = setting("constant", "IG C.4: constant; N+ and LHP: linear to 0.", choices=SCHEDULES)
    iterations: int = setting(40, "Rollout batches.", unit="iterations", low=1, high=10_000_000)
    episodes: int = setting(
        128, "Answers sampled per iteration (IG C.4: 512).", unit="episodes", low=1, high=1_000_000
    )
    epochs: int = setting(
        4, "Passes over each rollout batch (IG C.4: 1; LHP, N+: 4).", unit="epochs", low=1, high=100
    )
    minibatches: int = setting(
        4, "Optimizer steps per pass (IG C.4: 512 / 64 = 8).", unit="steps / epoch", low=1, high=10_000
    )
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", low=1, high=32_768)
    ignore_eos: bool = setting(
        default=False, help="Sample on to max_new_tokens even past an EOS (for exact experiments)."
    )
    no_eos_reward: float | None = score_without_eos()
    clip: float = setting(
        0.2, "The policy's ratio counts only within 1 +- this (IG C.4).", low=1e-6, high=10.0
    )
    dual_clip: float | None = setting(
        None,
        "Where the advantage is negative, the ratio counts at most as this (1912.09729, Eq. 5: 3); null: without bound.",
        low=1.0,
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
    ema_decay: float | None = setting(
        None,
        "Publish a moving average of the policy, with this decay per iteration (IG C.4: 0.992); null: the last policy.",
        low=0.0,
        high=0.999999,
    )
    ptx_coef: float = setting(
        0.0,
        "Weight of the language-modelling gradient on inputs.pretraining in every optimizer step (IG C.4: 27.8); 0: none.",
        low=0.0,
        high=1e4,
    )
    ptx_ratio: int = setting(
        8, "Such examples for each episode of a minibatch (IG C.4: 8).", unit="examples", low=1, high=1000
    )
    epoch_kl_target: float | None = setting(
        None,
        "Skip the rest of an iteration's optimizer steps once a minibatch's approximate KL to the sampling policy passes"
        " 1.5 x this (the old target_kl of TRL); null: no limit.",
        unit="nats / token",
        low=1e-9,
        high=1e3,
    )
    kl_budget: float | None = setting(
        None,
        "End the run when rollouts are farther than this from the reference, and publish the last policy within it; null: no limit.",
        unit="nats / response",
        low=1e-6,
        high=1e6,
    )
    score_drop_limit: float | None = setting(
        None,
        "End the run when the mean score falls this many standard deviations of the scores below its own moving average; null: no limit.",
        unit="standard deviations",
        low=0.01,
        high=1e3,
    )
    entropy_floor: float | None = setting(
        None,
        "End the run when the policy's entropy falls below this: it has stopped to explore; null: no limit.",
        unit="nats / token",
        low=0.0,
        high=20.0,
    )
    length_drift_limit: float | None = setting(
        None,
        "End the run when answers are this many times longer or shorter than in the first iteration; null: no limit.",
        low=1.01,
        high=1e3,
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
        limits = (self.kl_budget, self.score_drop_limit, self.entropy_floor, self.length_drift_limit)
        return any(limit is not None for limit in limits)

    def check(self) -> None:
        if self.dual_clip is not None and self.dual_clip <= 1 + self.clip:
            raise ValueError(
                f"dual_clip is {self.dual_clip}; it must be above 1 + clip ({1 + self.clip}). Remedy: 3, or null."
            )
        if self.minibatches > self.episodes:
            raise ValueError(
                f"minibatches is {self.minibatches}; it must be at most episodes ({self.episodes}). Remedy: lower it."
            )
