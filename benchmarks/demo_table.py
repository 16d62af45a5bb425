"""What a demo round is measured by, and the table it ends with. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation, fmean, stdev
from typing import Any

from labeling.demo.preference import hidden_score

JSON = dict[str, Any]
Z_99 = 2.5758  # two-sided 99 % of the normal distribution
LEAST_LIFT, LEAST_HELDOUT = 0.25, 200


@dataclass
class Outcome:
    """Everything in the table. Scores are of the hidden preference, 0 to 1; lifts in SD of the SFT model's scores."""

    heldout: int
    answers: int
    score: dict[str, float]
    spread: dict[str, float]
    tokens: dict[str, float]
    cut: dict[str, float]
    lift: float
    low: float
    high: float
    length_correlation: float
    kl: float | None
    kl_budget: float
    accuracy: float | None
    attainable: float | None
    seconds: float = 0.0

    def numbers(self) -> JSON:
        """For a file."""
        return dict(vars(self))


def measure(
    answers: Mapping[str, Mapping[str, Sequence[JSON]]],
    *,
    kl: float | None,
    kl_budget: float,
    accuracy: float | None,
    attainable: float | None,
) -> Outcome:
    """`answers`: version name -> prompt -> some {"text", "tokens", "finish_reason"}, the same prompts for each."""
    prompts = sorted(set.intersection(*(set(found) for found in answers.values())))
    scores = {
        name: [[hidden_score(p, one["text"]) for one in found[p]] for p in prompts]
        for name, found in answers.items()
    }
    lift, low, high = paired_lift(scores["sft"], scores["ppo"])
    every = {name: [one for p in prompts for one in found[p]] for name, found in answers.items()}
    flat = {name: [score for of_prompt in found for score in of_prompt] for name, found in scores.items()}
    return Outcome(
        heldout=len(prompts),
        answers=max((len(answers["sft"][p]) for p in prompts), default=0),
        score={name: fmean(found) for name, found in flat.items()},
        spread={name: stdev(found) for name, found in flat.items()},
        tokens={name: fmean(one["tokens"] for one in found) for name, found in every.items()},
        cut={name: fmean(one["finish_reason"] == "length" for one in found) for name, found in every.items()},
        lift=lift,
        low=low,
        high=high,
        length_correlation=_correlation(flat["sft"], [float(one["tokens"]) for one in every["sft"]]),
        kl=kl,
        kl_budget=kl_budget,
        accuracy=accuracy,
        attainable=attainable,
    )


def paired_lift(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]
) -> tuple[float, float, float]:
    """Mean of after - before with its 99 % interval, in standard deviations of a single answer's score in `before`.

    Both hold the scores of each prompt's answers; a prompt's mean is paired with the same prompt's mean.
    """
    steps = [fmean(b) - fmean(a) for a, b in zip(before, after, strict=True)]
    unit = stdev(score for of_prompt in before for score in of_prompt)
    middle, error = fmean(steps), stdev(steps) / math.sqrt(len(steps))
    return middle / unit, (middle - Z_99 * error) / unit, (middle + Z_99 * error) / unit


def attainable_accuracy(rankings: Iterable[JSON]) -> float | None:
    """Share of the labelers' strict pairs that the hidden score itself orders as they did: nobody can do better.

    Rows of the `rankings` export; pairs that the score holds equal count half.
    """
    right = pairs = 0.0
    for row in rankings:
        prompt = row["prompt"][-1]["content"]
        places = _ranks(row)
        scored = [(rank, hidden_score(prompt, text)) for text, rank in places]
        for place, (rank, score) in enumerate(scored):
            for other_rank, other in scored[place + 1 :]:
                if rank == other_rank:
                    continue
                pairs += 1
                agrees = (score - other) * (other_rank - rank)
                right += 1.0 if agrees > 0 else 0.5 if agrees == 0 else 0.0
    return right / pairs if pairs else None


def _ranks(row: JSON) -> list[tuple[str, int]]:
    """(text, rank) of each answer of one canonical ranking."""
    ranks = row["ranks"]
    return [(one.get("content", one.get("text", "")), int(ranks[one["id"]])) for one in row["responses"]]


def verdicts(found: Outcome) -> list[tuple[str, bool]]:
    """What has to hold, each as a sentence."""
    return [
        (f"at least {LEAST_HELDOUT} held-out prompts ({found.heldout})", found.heldout >= LEAST_HELDOUT),
        (f"PPO is better than SFT by at least {LEAST_LIFT} SD ({found.lift:.2f})", found.lift >= LEAST_LIFT),
        (f"the lower bound of that is above 0 ({found.low:.2f})", found.low > 0),
        (
            f"KL is within its budget ({_number(found.kl)} of {found.kl_budget:g})",
            found.kl is not None and found.kl <= found.kl_budget,
        ),
    ]


def table(found: Outcome) -> str:
    """The table, for people."""
    lines = ["", f"Hidden score on {found.heldout} held-out prompts, {found.answers} answers to each", ""]
    lines.append(f"{'':8}{'mean':>8}{'SD':>8}{'tokens':>9}{'not ended':>12}")
    for name in ("base", "sft", "ppo"):
        lines.append(
            f"{name:8}{found.score[name]:8.3f}{found.spread[name]:8.3f}{found.tokens[name]:9.1f}{found.cut[name]:12.1%}"
        )
    lines += [
        "",
        f"PPO over SFT, paired     {found.lift:+.2f} SD of SFT   99 % interval {found.low:+.2f} to {found.high:+.2f}",
        f"KL to the SFT model      {_number(found.kl)} nats per answer, budget {found.kl_budget:g}",
        f"Reward model accuracy    {_number(found.accuracy, 3)} on validation pairs; the hidden score itself reaches {_number(found.attainable, 3)}",
        f"Score and length         correlation {found.length_correlation:+.2f} among the SFT model's answers",
        f"Time                     {found.seconds / 60:.1f} minutes",
        "",
    ]
    lines += [f"{'ok  ' if holds else 'FAIL'}  {line}" for line, holds in verdicts(found)]
    return "\n".join(lines)


def _number(value: float | None, digits: int = 2) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def _correlation(one: list[float], other: list[float]) -> float:
    try:
        return correlation(one, other)
    except StatisticsError:  # Every answer has the same score or length.
        return 0.0
