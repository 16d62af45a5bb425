"""Settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.policy import PolicyConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig(PolicyConfig):
    """PPO against the reward model, with a value network (IG 3.5, C.4)."""

    value_lr: float = setting(
        1e-3,
        "Peak learning rate of the value network.",
        low=0.0,
        high=1.0,
        source="IG C.4: 9e-6; ours: for about a million weights",
    )
    gamma: float = setting(1.0, "Discount; 1: none.", low=0.0, high=1.0, source="IG C.4: no discount")
    lam: float = setting(
        0.95, "Lambda of generalised advantage estimation.", low=0.0, high=1.0, source="LHP, N+"
    )
    value_clip: float = setting(
        0.2,
        "The value counts only within this of its old one.",
        unit="reward",
        low=1e-6,
        high=1e6,
        source="LHP, N+",
    )
    value_coef: float = setting(0.1, "Weight of the value loss.", low=0.0, high=100.0, source="LHP, N+")
    whiten_rewards: bool = setting(
        default=False,
        help="Divide rewards by their deviation without moving their mean.",
        source="LHP; N+: off for summaries",
    )

    @property
    def peak_rates(self) -> dict[str, float]:
        """The value network learns too."""
        return {"policy": self.lr, "value": self.value_lr}
