"""Settings of RLOO."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.policy import PolicyConfig
from training.core.settings import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class RLOOConfig(PolicyConfig):
    """REINFORCE Leave-One-Out: several answers to a prompt are each other's baseline; no value network (2402.14740)."""

    epochs: int = setting(
        1, "Passes over each rollout batch.", unit="epochs", low=1, high=100, source="2402.14740: 1"
    )
    minibatches: int = setting(
        1,
        "Optimizer steps per pass. More than one in all: the answer's whole probability ratio is clipped as in PPO.",
        unit="steps / epoch",
        low=1,
        high=10_000,
        source="2402.14740: strictly on-policy",
    )
    samples_per_prompt: int = setting(
        4, "Answers sampled to each prompt.", unit="answers", low=2, high=1024, source="2402.14740: 2 or 4"
    )

    @property
    def answers_per_prompt(self) -> int:
        """The group whose members are each other's baseline."""
        return self.samples_per_prompt

    def check(self) -> None:
        PolicyConfig.check(self)
        if self.episodes % self.samples_per_prompt:
            raise ValueError(
                f"episodes is {self.episodes}; it must be a multiple of samples_per_prompt ({self.samples_per_prompt})."
                " Remedy: change one of them."
            )
