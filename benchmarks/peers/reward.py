"""Reward models: the cost of one pass over whole rankings, and the time to the accuracy of TRL's one pass over their pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from benchmarks.peers.call import call, optimizer_of
from benchmarks.peers.rows import Row, Spent, middle, time_row
from benchmarks.training_reward import (
    VOCABULARY,
    bayes_accuracy,
    held_out_accuracy,
    new_model,
    ours,
    plackett_luce,
)
from inference.engine.models import load_scalar, save_scalar
from training.core.config import RewardConfig
from training.core.data import Ranking

# Prompt and answer tokens, answers in a ranking, the bar.
SHAPES = ((64, 64, 4, 2.7), (64, 64, 9, 8.0), (400, 100, 9, 15.0))
BATCH = 2  # rankings a step, on both sides
PAIRS_AT_ONCE = 12
PAD = VOCABULARY - 1  # No answer has it: the peer finds the last token by it.
RATES = (3e-4, 6e-4)
BAR_TO_ACCURACY, SLACK = 4.0, 0.005


def pass_rows(counts: Sequence[tuple[int, int]], repeats: int, seed: int) -> Iterator[Row]:
    """DESIGN's row (a). counts: rankings of ours and of the peer for each of SHAPES; a ranking costs the same each time."""
    with tempfile.TemporaryDirectory() as name:
        save_scalar(new_model(seed), _tokenizer(), name)
        for (prompt, answer, k, bar), (mine, theirs) in zip(SHAPES, counts, strict=True):
            rankings = plackett_luce(max(mine, theirs), prompt, answer, k, seed=seed + 1, tokens=PAD)
            ours(new_model(seed), rankings[:1])  # as warm as the peer
            left, right = [], []
            for _ in range(repeats):
                one = ours(new_model(seed), rankings[:mine], batch_size=BATCH)
                left.append(Spent(one.cpu_s, one.wall_s).per(mine))
                pairs_a_step = BATCH * k * (k - 1) // 2
                found = _peer(name, rankings[:theirs], 5e-4, seed, pairs_a_step // PAIRS_AT_ONCE)
                right.append(Spent(found["cpu_s"], found["wall_s"]).per(theirs))
            yield time_row(
                f"reward, one pass, {prompt}+{answer} tokens, K={k}", middle(left), middle(right), "CPU s / ranking",
                bar, f"{mine} and {theirs} rankings, {BATCH} a step",
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Race:
    """To TRL's accuracy: rankings of nine answers of 64 tokens after 64. Rates fall linearly to 0 on both sides."""

    rankings: int = 40
    held_out: int = 140  # rankings; each has 36 pairs
    seeds: int = 3
    rates: Sequence[float] = RATES
    passes: int = 3  # ours; as many as a quarter of the peer's time holds
    tokens: int = 32  # different ones: with all 512, forty rankings teach neither side anything


def race_rows(race: Race, seed: int) -> Iterator[Row]:
    """DESIGN's row (b), seed by seed, then the median of their ratios; a seed that falls short of the accuracy counts 0."""
    ratios, walls = [], []
    for one in range(seed, seed + race.seeds):
        row = _race(race, one)
        yield row
        ratios.append(row.ratio or 0.0)
        walls.append(row.wall or 0.0)
    middle_ratio = median(ratios)
    yield Row(
        what="reward, time to TRL's accuracy - 0.5 points, K=9", ratio=middle_ratio, wall=median(walls),
        bar=f">= {BAR_TO_ACCURACY:g}x", holds=middle_ratio >= BAR_TO_ACCURACY,
        note=f"median of {race.seeds} seeds, {36 * race.held_out:,} held-out pairs, {len(race.rates)} learning rates each",
    )  # fmt: skip


def _race(race: Race, seed: int) -> Row:
    make = partial(plackett_luce, prompt=64, answer=64, k=9, tokens=race.tokens)
    train, held = make(race.rankings, seed=2 * seed + 1), make(race.held_out, seed=2 * seed + 1_000_000)
    theirs = max((_peer_run(race, rate, train, held, seed) for rate in race.rates), key=_accuracy)
    mine = max((_our_run(race, rate, train, held, seed) for rate in race.rates), key=_accuracy)
    row = time_row(
        f"  seed {seed}", mine[1], theirs[1], "CPU s",
        note=f"Bayes {bayes_accuracy(held):.4f}; TRL {theirs[0]:.4f} at {theirs[2]:g}; ours {mine[0]:.4f} at {mine[2]:g}",
    )  # fmt: skip
    return row if mine[0] >= theirs[0] - SLACK else replace(row, ratio=0.0, wall=0.0)


Ran = tuple[float, Spent, float]  # held-out accuracy, time, learning rate


def _accuracy(one: Ran) -> float:
    return one[0]


def _peer_run(race: Race, rate: float, train: Sequence[Ranking], held: Sequence[Ranking], seed: int) -> Ran:
    """One pass over all pairs, 12 a step."""
    with tempfile.TemporaryDirectory() as name:
        start, end = str(Path(name, "start")), str(Path(name, "end"))
        save_scalar(new_model(seed), _tokenizer(), start)
        one = _peer(start, train, rate, seed, save=end, schedule="linear")
        return held_out_accuracy(load_scalar(end)[0], held), Spent(one["cpu_s"], one["wall_s"]), rate


def _our_run(race: Race, rate: float, train: Sequence[Ranking], held: Sequence[Ranking], seed: int) -> Ran:
    """A ranking a step."""
    model = new_model(seed)
    took = ours(model, train, lr=rate, batch_size=1, epochs=race.passes, schedule="linear")
    return held_out_accuracy(model, held), Spent(took.cpu_s, took.wall_s), rate


def _peer(
    folder: str,
    rankings: Sequence[Ranking],
    rate: float,
    seed: int,
    accumulation: int = 1,
    save: str = "",
    schedule: str = "constant",
) -> dict[str, Any]:
    job = {
        "model": folder, "seed": seed, "batch_size": PAIRS_AT_ONCE, "accumulation": accumulation, "save": save, "schedule": schedule,
        "optimizer": optimizer_of(RewardConfig(lr=rate)),
        "rankings": [{"answers": row.answers, "ranks": row.ranks} for row in rankings],
    }  # fmt: skip
    return call("1.16", "trl_reward", job, threads=torch.get_num_threads())


def _tokenizer() -> PreTrainedTokenizerFast:
    """A word for each token, which nobody reads: the peer asks it what pads."""
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))  # noqa: S106 - a word
    special = {"pad_token": f"w{PAD}", "eos_token": f"w{PAD}"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)  # type: ignore[no-untyped-call]
