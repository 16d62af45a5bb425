"""Reward models: the cost of one pass over whole rankings, and the time to the accuracy of TRL's one pass over their pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    Timing,
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
RATES = (5e-4, 1e-3)
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
    """To TRL's accuracy: rankings of nine answers of 64 tokens after 64."""

    rankings: int = 40
    held_out: int = 140  # rankings; each has 36 pairs
    seeds: int = 3
    rates: Sequence[float] = RATES
    look_every: int = 5  # steps of ours
    most_epochs: int = 5
    tokens: int = 32  # different ones: with all 512, forty rankings teach neither side anything


def race_rows(race: Race, seed: int) -> Iterator[Row]:
    """DESIGN's row (b), seed by seed, then the median of their ratios."""
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
    peer, accuracy, their_rate = _peer_at_its_best(race, train, held, seed)
    mine = {rate: _until(accuracy - SLACK, race, rate, train, held, seed) for rate in race.rates}
    reached = {rate: found for rate, found in mine.items() if found[1] is not None}
    note = f"Bayes {bayes_accuracy(held):.4f}; TRL {accuracy:.4f} at {their_rate:g}; ours "
    if not reached:
        best = max(accuracy for accuracy, _ in mine.values())
        return Row(
            what=f"  seed {seed}",
            peer=peer.cpu_s,
            unit="CPU s",
            ratio=0.0,
            wall=0.0,
            note=f"{note}never: {best:.4f}",
        )
    rate, (got, timing) = min(reached.items(), key=lambda item: item[1][1].cpu_s if item[1][1] else 0.0)
    assert timing is not None
    spent = Spent(timing.cpu_s, timing.wall_s)
    return time_row(
        f"  seed {seed}", spent, peer, "CPU s", note=f"{note}{got:.4f} at {rate:g}, step {timing.steps}"
    )


def _peer_at_its_best(
    race: Race, train: Sequence[Ranking], held: Sequence[Ranking], seed: int
) -> tuple[Spent, float, float]:
    """(its time, held-out accuracy, learning rate) of the most accurate of its rates; 12 pairs a step."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        start, end = str(Path(name, "start")), str(Path(name, "end"))
        save_scalar(new_model(seed), _tokenizer(), start)
        for rate in race.rates:
            one = _peer(start, train, rate, seed, save=end)
            accuracy = held_out_accuracy(load_scalar(end)[0], held)
            found.append((Spent(one["cpu_s"], one["wall_s"]), accuracy, rate))
    return max(found, key=lambda one: one[1])


def _until(
    target: float, race: Race, rate: float, train: Sequence[Ranking], held: Sequence[Ranking], seed: int
) -> tuple[float, Timing | None]:
    """(last accuracy, the time when it was reached): at two looks in a row, so that luck doesn't count; the second one's."""
    looks: list[float] = []
    reached: list[Timing] = []
    model = new_model(seed)

    def look(so_far: Timing) -> bool:
        if so_far.steps % race.look_every:
            return False
        looks.append(held_out_accuracy(model, held))
        if min(looks[-2:]) >= target and len(looks) > 1:
            reached.append(so_far)
        return bool(reached)

    ours(model, train, lr=rate, batch_size=1, epochs=race.most_epochs, after_step=look)
    return looks[-1] if looks else 0.0, reached[0] if reached else None


def _peer(
    folder: str, rankings: Sequence[Ranking], rate: float, seed: int, accumulation: int = 1, save: str = ""
) -> dict[str, Any]:
    job = {
        "model": folder, "seed": seed, "batch_size": PAIRS_AT_ONCE, "accumulation": accumulation, "save": save,
        "optimizer": optimizer_of(RewardConfig(lr=rate)),
        "rankings": [{"answers": row.answers, "ranks": row.ranks} for row in rankings],
    }  # fmt: skip
    return call("1.16", "trl_reward", job, threads=torch.get_num_threads())


def _tokenizer() -> PreTrainedTokenizerFast:
    """A word for each token, which nobody reads: the peer asks it what pads."""
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))  # noqa: S106 - a word
    special = {"pad_token": f"w{PAD}", "eos_token": f"w{PAD}"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)  # type: ignore[no-untyped-call]
