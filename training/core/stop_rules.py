"""When a run of PPO or RLOO ends before its time: the policy has gone astray, and the last good one is worth more.

No torch here. A rule looks at an iteration's rollouts before anything is learned from them, so that a policy that was
just spoiled stops the run within one iteration, and what it replaced is still at hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from training.core.config import PolicyConfig

Numbers = Mapping[str, float]

AVERAGE_DECAY = 0.9
"""Of the scores' moving average: about the last ten iterations."""

JUDGE_WINDOW = 5
"""Iterations that the judge's mean is taken over. It lags by two: a longer one would see the turn too late."""

JUDGE_NOISE = 2.0
"""A fall of the judge's mean that is smaller than this many of its standard errors is no fall."""


def reason_to_stop(row: Numbers, memory: dict[str, Any], cfg: PolicyConfig) -> str | None:
    """The rule that an iteration breaks, or None. `memory` (JSON values) keeps what earlier ones were like.

    Row needs kl, entropy, score, score_std and response_tokens; with a judge also judge_score and judge_se.
    """
    reason = broken_limit(row, cfg) or _broken_trend(row, memory, cfg)
    if reason is None:
        memory.setdefault("first_length", row["response_tokens"])
        for name in ("score", "score_std"):
            before = memory.get(f"average_{name}", row[name])
            memory[f"average_{name}"] = AVERAGE_DECAY * before + (1 - AVERAGE_DECAY) * row[name]
        if cfg.judge_drop_limit is not None:
            _remember_judge(row, memory)
    return reason


def worth_keeping(memory: Mapping[str, Any]) -> bool:
    """Whether the policy of the last iteration replaces the last good one: always, unless the judge has liked one better."""
    return "judged" not in memory or bool(memory["judge_best"]["iteration"] == memory["judge_iterations"])


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
    if cfg.judge_drop_limit is not None and _judge_fell(row, memory, cfg.judge_drop_limit):
        return "judge_drop_limit"
    return None


# --- the judge ------------------------------------------------------------------------------------------------------


def _judge_fell(row: Numbers, memory: Mapping[str, Any], limit: float) -> bool:
    """Whether the judge's mean lies below its best by `limit` of what it had gained, and by more than noise makes it.

    A share of the gain has the same meaning for every reward model and for every number of episodes; but while there is
    hardly any gain, it is less than noise. Standard errors tell noise, but with enough episodes any wiggle is many of them.
    """
    mean, error = _judge_mean(_judged(row, memory))
    best = memory["judge_best"]
    drop, gain = best["mean"] - mean, best["mean"] - memory["judge_first"]
    noise = math.hypot(error, best["error"])
    return bool(drop > max(limit * gain, JUDGE_NOISE * noise))


def _judged(row: Numbers, memory: Mapping[str, Any]) -> list[list[float]]:
    """(score, standard error) of the last JUDGE_WINDOW iterations, this one included."""
    return [*memory.get("judged", []), [row["judge_score"], row["judge_se"]]][-JUDGE_WINDOW:]


def _judge_mean(judged: list[list[float]]) -> tuple[float, float]:
    return fmean(score for score, _ in judged), math.hypot(*(error for _, error in judged)) / len(judged)


def _remember_judge(row: Numbers, memory: dict[str, Any]) -> None:
    memory["judged"] = _judged(row, memory)
    memory["judge_iterations"] = memory.get("judge_iterations", 0) + 1
    mean, error = _judge_mean(memory["judged"])
    memory.setdefault("judge_first", mean)
    if "judge_best" not in memory or mean >= memory["judge_best"]["mean"]:
        memory["judge_best"] = {"mean": mean, "error": error, "iteration": memory["judge_iterations"]}
