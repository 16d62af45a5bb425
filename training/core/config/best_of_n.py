"""Settings of best-of-n."""

from __future__ import annotations

from dataclasses import dataclass

from training.core.config.base import score_without_eos, tokens_at_once
from training.core.settings import Settings, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfNConfig(Settings):
    """The answer that a reward model likes best of n (Stiennon et al. 2009.01325)."""

    n: int = setting(
        16,
        "Answers drawn for each prompt; the best one is kept.",
        unit="answers",
        low=1,
        high=65_536,
        source="WebGPT, 2112.09332, 3.2: 4, 16 or 64",
    )
    batch_size: int = setting(
        32,
        "Prompts answered between two rows of metrics.",
        unit="prompts",
        low=1,
        high=65_536,
        source="ours: fits two cores",
    )
    max_new_tokens: int = setting(
        64, "Longest answer.", unit="tokens", low=1, high=32_768, source="ours: suits the starter's answers"
    )
    ignore_eos: bool = setting(
        default=False,
        help="Sample on to max_new_tokens even past an EOS, and keep answers without one (for exact experiments).",
        source="ours: for exact experiments",
    )
    micro_batch_tokens: int = tokens_at_once()
    no_eos_reward: float | None = score_without_eos(" Such an answer is never kept.")
