"""Reward models: prompts read once for all their answers, once for each, and all pairs; CPU seconds a ranking.

    python benchmarks/training_reward.py [--rankings 16] [--quick]

The same GPT-2 of 3.4 million random weights, the same rankings, float32, one thread; one pass with AdamW, as many rankings
a step on every side. Lengths are exact (P prompt tokens, C answer tokens), so that no side wastes padding. Labels are
drawn from a Plackett-Luce model of a hidden worth of tokens: each pair is exactly Bradley-Terry. CPU seconds of this
process are measured, so a busy machine changes the ratio little; backbone tokens stand beside them.

A peer's loop reuses `new_model`, `plackett_luce` and `held_out_accuracy` and stands beside `ours`.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import nn
from transformers import GPT2Config, GPT2Model
from transformers.utils import logging

from inference.engine.models import ScalarModel, last_real
from training.core.checkpoint import TrainingState
from training.core.config import RewardConfig
from training.core.data import Ranking
from training.core.loop import lr_factor, make_optimizer, optimizer_step, pad
from training.core.losses import ranking_losses
from training.core.reward import update
from training.core.reward_batches import batches_of
from training.core.reward_measure import held_out

VOCABULARY, CONTEXT, WIDTH = 512, 512, 256
SHAPES = ((64, 64, 4), (64, 64, 9), (400, 100, 9))
WAYS = ("shared", "dense", "pairs")
TOKEN_WORTH = [random.Random(token).uniform(-1, 1) for token in range(VOCABULARY)]


@dataclass(frozen=True)
class Timing:
    """What one pass over the rankings took."""

    cpu_s: float
    wall_s: float
    tokens: float  # of the backbone, padding not counted
    steps: int

    def per_ranking(self, count: int) -> float:
        """CPU seconds."""
        return self.cpu_s / count


def new_model(seed: int = 0) -> ScalarModel:
    """4 layers, width 256: 3.4 million weights under a fresh head."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_layer=4, n_embd=WIDTH, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    head = nn.Linear(WIDTH, 1, bias=False)
    nn.init.normal_(head.weight, std=(WIDTH + 1) ** -0.5)
    backbone: GPT2Model = GPT2Model(config)
    return ScalarModel(backbone, head).train()


def worth(answer: Sequence[int], scale: float = 3.0) -> float:
    """The hidden oracle: each token is worth between -1 and 1 by a fixed table, and answers by the mean of theirs.

    The scale is per root of the length, so that answers of every length differ alike.
    """
    return scale * sum(TOKEN_WORTH[token] for token in answer) / math.sqrt(len(answer))


def plackett_luce(
    count: int, prompt: int, answer: int, k: int, *, seed: int, tokens: int = VOCABULARY
) -> list[Ranking]:
    """Rankings of k random answers each, drawn by the labeler's noisy worth; every ranking has a prompt of its own.

    The fewer different `tokens` there are, the fewer worths a model has to find out.
    """
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        asked = [rng.randrange(tokens) for _ in range(prompt)]
        answers = [[rng.randrange(tokens) for _ in range(answer)] for _ in range(k)]
        noisy = [worth(one) - math.log(-math.log(rng.random())) for one in answers]
        order = sorted(range(k), key=lambda i: -noisy[i])
        ranks = [order.index(i) + 1 for i in range(k)]
        rows.append(Ranking(str(n), [asked + one for one in answers], ranks, 1.0, prompt_tokens=prompt))
    return rows


def bayes_accuracy(rows: Sequence[Ranking]) -> float:
    """Of the oracle itself against labels drawn from it."""
    gaps = [
        abs(worth(a[row.prompt_tokens :]) - worth(b[row.prompt_tokens :]))
        for row in rows
        for a, b in combinations(row.answers, 2)
    ]
    return sum(1 / (1 + math.exp(-gap)) for gap in gaps) / len(gaps)


def held_out_accuracy(model: ScalarModel, rows: Sequence[Ranking]) -> float:
    """Share of pairs in the labeler's order."""
    return held_out(model, rows, RewardConfig(), shared=True)["reward/valid_accuracy"]


def ours(
    model: ScalarModel,
    rankings: Sequence[Ranking],
    *,
    way: str = "shared",
    lr: float = 5e-4,
    batch_size: int = 2,
    epochs: int = 1,
    schedule: str = "constant",
) -> Timing:
    """Passes of our trainer's own step over the rankings; `way` is one of WAYS."""
    cfg = RewardConfig(lr=lr, batch_size=batch_size, lr_schedule=schedule)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    batches = [batch for epoch in range(epochs) for batch in batches_of(rankings, cfg, 0, epoch)]
    cpu = wall = tokens = 0.0
    step = 0
    for step, batch in enumerate(batches, start=1):
        rows = [rankings[i] for i in batch]
        factor = lr_factor(step - 1, len(batches), cfg.lr_schedule, cfg.warmup_steps)
        began, began_wall = time.process_time(), time.perf_counter()
        if way == "pairs":
            tokens += _pairs_step(model, rows, state, cfg, factor)
        else:
            tokens += update(model, rows, state, cfg, factor, shared=way == "shared")[
                "reward/backbone_tokens"
            ]
        cpu, wall = cpu + time.process_time() - began, wall + time.perf_counter() - began_wall
    return Timing(cpu, wall, tokens, step)


def _pairs_step(
    model: ScalarModel, rows: Sequence[Ranking], state: TrainingState, cfg: RewardConfig, factor: float
) -> int:
    """The same loss by two rows for each pair, 2 x 12 pairs at a time: what a trainer on pairs computes, and no more."""
    tokens = 0
    for row in rows:
        pairs = [
            (i, j) if row.ranks[i] < row.ranks[j] else (j, i)
            for i, j in combinations(range(len(row.ranks)), 2)
        ]
        for at in range(0, len(pairs), 12):
            part = pairs[at : at + 12]
            ids, mask = pad([row.answers[i] for pair in part for i in pair], model.score.weight.device)
            scores = model(ids, mask).gather(1, last_real(mask)).view(-1, 2)
            ranks = torch.tensor([[1, 2]]).expand(len(part), -1)
            losses = ranking_losses(scores, ranks, torch.ones_like(ranks))
            torch.autograd.backward(losses.sum() / len(pairs) / len(rows))
            tokens += int(mask.sum())
    optimizer_step(state.optimizer, state.modules, cfg, factor)
    return tokens


def measure(
    shapes: Sequence[tuple[int, int, int]], count: int, *, seed: int = 0
) -> Iterator[tuple[str, dict[str, tuple[Timing, int]]]]:
    """(name of the shape, {way: (Timing, its rankings)}): every way from the same weights, after one step as warm-up.

    Pairs of nine answers take so long that their way gets a quarter of the rankings; a ranking costs the same each time.
    """
    for prompt, answer, k in shapes:
        rankings = plackett_luce(count, prompt, answer, k, seed=seed + 1)
        found = {}
        for way in WAYS:
            mine = rankings[: max(2, count // 4)] if way == "pairs" and k > 4 else rankings
            ours(new_model(seed), rankings[:1], way=way)
            found[way] = ours(new_model(seed), mine, way=way), len(mine)
        yield f"{prompt}+{answer}, K={k}", found


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rankings", type=int, default=16)
    parser.add_argument("--quick", action="store_true", help="4 rankings of each shape")
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers has no types here
    torch.set_num_threads(1)
    count = 4 if options.quick else options.rankings
    print(
        f"{'prompt + answer':<18}{'way':<8}{'CPU s/ranking':>14}{'tokens/ranking':>16}{'pairs / this':>14}{'tokens':>9}"
    )
    for name, timings in measure(SHAPES, count):
        base, pairs = timings["pairs"]
        for way, (one, mine) in timings.items():
            ratio = base.per_ranking(pairs) / one.per_ranking(mine)
            tokens = base.tokens / pairs * mine / one.tokens
            print(
                f"{name:<18}{way:<8}{one.per_ranking(mine):>14.4f}{one.tokens / mine:>16.0f}{ratio:>13.2f}x{tokens:>8.1f}x",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
