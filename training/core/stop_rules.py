"""When a run of PPO or RLOO ends before its time: the policy has gone astray, and the last good one is worth more.

No torch here. A rule looks at an iteration's rollouts before anything is learned from them, so that a policy that was
just spoiled stops the run within one iteration, and what it replaced is still at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.core.config import PolicyConfig

Numbers = Mapping[str, float]

AVERAGE_DECAY = 0.9
"""Of the scores' moving average: about the last ten iterations."""


def reason_to_stop(row: Numbers, memory: dict[str, Any], cfg: PolicyConfig) -> str | None:
    """The rule that an iteration breaks, or None. `memory` (JSON values) keeps what earlier ones were like.

    Row needs kl, entropy, score, score_std and response_tokens.
    """
    reason = broken_limit(row, cfg) or _broken_trend(row, memory, cfg)
    if reason is None:
        memory.setdefault("first_length", row["response_tokens"])
        for name in ("score", "score_std"):
            before = memory.get(f"average_{name}", row[name])
            memory[f"average_{name}"] = AVERAGE_DECAY * before + (1 - AVERAGE_DECAY) * row[name]
    return reason


def broken_limit(row: Numbers, cfg: PolicyConfig) -> str | None:
    """The rules that need no past."""
    if cfg.kl_budget is not None and row["kl"] > cfg.kl_budget:
        return "kl_budget"
    if cfg.entropy_floor is not None and row["entropy"] < cfg.entropy_floor:
        return "entropy_floor"
    return None


def _broken_trend(row: Numbers, memory: dict[str, Any], cfg: PolicyConfig) -> str | None:
    """The rules that compare with earlier iterations; the first one has nothing to be compared with."""
    if "first_length" not in memory:
        return None
    if cfg.score_drop_limit is not None:
        lowest = memory["average_score"] - cfg.score_drop_limit * memory["average_score_std"]
        if row["score"] < lowest:
            return "score_drop_limit"
    if cfg.length_drift_limit is not None:
        drift = row["response_tokens"] / memory["first_length"]
        if max(drift, 1 / drift) > cfg.length_drift_limit:
            return "length_drift_limit"
    return None
