"""Settings of direct preference optimization."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.tuned import TunedConfig
from training.core.settings import setting

LOSSES = ("pairs", "plackett_luce")


@dataclass(frozen=True, kw_only=True, slots=True)
class DPOConfig(TunedConfig):
    """A policy from rankings without a reward model and without sampling (Rafailov et al. 2305.18290)."""

    beta: float = setting(
        0.1,
        "Price of distance from the reference that the optimum has.",
        unit="reward / nat",
        low=1e-6,
        high=100.0,
        source="2305.18290, B: 0.1, or 0.5 for summaries",
    )
    loss: str = setting(
        "pairs",
        "pairs: all pairs of a ranking without a tie; plackett_luce: the ranking as a row of choices of the best of what is left.",
        choices=LOSSES,
        source="2305.18290, Eq. 7; 2305.18290, Eq. 20",
    )
    label_smoothing: float = setting(
        0.0,
        "Share of pairs that are believed to be the wrong way round; pairs only.",
        low=0.0,
        high=0.49,
        source="Mitchell 2023, conservative DPO; ours: off",
    )
    length_normalize: bool = setting(
        default=False,
        help="Divide the log-ratio of an answer by its tokens; beta is then a price per nat / token.",
        source="Tulu 3, 2411.15124; ours: off",
    )
    epochs: int = setting(
        1, "Passes over the rankings.", unit="epochs", low=1, high=1000, source="ours: once, as reward models"
    )
    batch_size: int = setting(
        8,
        "Rankings (prompts) per step.",
        unit="rankings",
        low=1,
        high=65_536,
        source="2305.18290, B: 64 pairs; ours: 8",
    )
    max_length: int = setting(
        2048,
        "Answers whose prompt + answer is longer are left out and counted.",
        unit="tokens",
        low=8,
        high=131_072,
        source="IG C: 2k",
    )
    kl_samples: int = setting(
        64,
        "Fresh answers that each measurement of the distance from the reference draws; 0: it is not measured.",
        unit="answers",
        low=0,
        high=1_000_000,
        source="ours: a rough mean at little cost",
    )
    max_new_tokens: int = setting(
        64,
        "Longest such answer.",
        unit="tokens",
        low=1,
        high=32_768,
        source="ours: suits the starter's answers",
    )
    ignore_eos: bool = setting(
        default=False,
        help="Sample on to max_new_tokens even past an EOS (for exact experiments).",
        source="ours: for exact experiments",
    )

    def check(self) -> None:
        if self.loss != "pairs" and self.label_smoothing:
            raise ValueError(
                f"label_smoothing is {self.label_smoothing}; only pairs can be the wrong way round. Remedy: set it to 0, or loss to pairs."
            )
