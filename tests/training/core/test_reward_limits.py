"""E4: a hidden oracle draws the labels, so what any model can reach is known exactly; labels' noise never enters a number."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import correlation, fmean
from typing import Any

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from inference.engine.models import ScalarModel, load_scalar
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import make_model, write_rows
from training.core.checkpoint import TrainingState
from training.core.config import RewardConfig
from training.core.data import Dropped, Ranking, read_rankings
from training.core.loop import lr_factor, make_optimizer
from training.core.ranking_quality import quality
from training.core.report import read_rows
from training.core.reward import update
from training.core.reward_batches import batches_of
from training.core.reward_measure import report_on
from training.core.reward_report import Judged, reward_report
from training.core.reward_scores import scores_of


def noisy_ranks(worths: Sequence[float], rng: random.Random) -> list[int]:
    """A Plackett-Luce draw: Gumbel noise on each worth makes every pair exactly Bradley-Terry."""
    noisy = [worth - math.log(-math.log(rng.random())) for worth in worths]
    order = sorted(range(len(worths)), key=lambda k: -noisy[k])
    return [order.index(k) + 1 for k in range(len(worths))]


def scores_by(model: ScalarModel, rows: Sequence[Ranking]) -> list[list[float]]:
    with torch.no_grad():
        return [scores_of(model.eval(), [row], RewardConfig()).scores[0].tolist() for row in rows]


def expected(scores: Sequence[Sequence[float]], worths: Sequence[Sequence[float]]) -> dict[str, float]:
    """Accuracy and NLL of a pair in expectation over the oracle's labels, and the least and most that anyone reaches."""
    found: dict[str, list[float]] = {name: [] for name in ("accuracy", "bayes_accuracy", "nll", "bayes_nll")}
    for mine, true in zip(scores, worths, strict=True):
        for i, j in combinations(range(len(true)), 2):
            p, q = (1 / (1 + math.exp(x[j] - x[i])) for x in (true, mine))
            found["accuracy"].append(p if mine[i] > mine[j] else 1 - p)
            found["bayes_accuracy"].append(max(p, 1 - p))
            found["nll"].append(-p * math.log(q) - (1 - p) * math.log(1 - q))
            found["bayes_nll"].append(-p * math.log(p) - (1 - p) * math.log(1 - p))
    return {name: fmean(values) for name, values in found.items()}


def within(scores: Sequence[Sequence[float]], worths: Sequence[Sequence[float]]) -> float:
    """Correlation after each ranking's own mean is taken off both: the only part of a reward that rankings tell of."""
    centred = [[x - fmean(row) for row in rows for x in row] for rows in (scores, worths)]
    return correlation(*centred)


# --- E4: letters have a worth, prompts say nothing --------------------------------------------------------------------

WORTH = {letter: (n - 4) * 0.5 for n, letter in enumerate("abcdefgh")}


def letters(count: int, seed: int) -> list[dict[str, Any]]:
    """Rankings of six words, drawn by the sum of their letters' worth."""
    rng, rows = random.Random(seed), []
    for n in range(count):
        texts = ["".join(rng.choices("abcdefgh", k=4)) for _ in range(6)]
        ranks = noisy_ranks([sum(map(WORTH.__getitem__, text)) for text in texts], rng)
        rows.append(ranking_row(n, [{"content": text} for text in texts], ranks))
    return rows


def ranking_row(n: int, responses: Sequence[dict[str, Any]], ranks: Sequence[int]) -> dict[str, Any]:
    return {
        "id": str(n), "prompt": [{"role": "user", "content": f"{n % 40}?"}],
        "responses": [{"id": str(k), **one} for k, one in enumerate(responses)],
        "ranks": {str(k): rank for k, rank in enumerate(ranks)},
    }  # fmt: skip


def test_it_reaches_the_bayes_limit_and_knows_how_sure_to_be(tmp_path: Path) -> None:
    """E4 and E4c: one pass over 2,000 rankings of six."""
    model = make_model(tmp_path / "model", vocab=261, width=48)
    valid = letters(150, seed=2)
    config = {"lr": 3e-3, "batch_size": 16, "warmup_steps": 5, "save_every": 1000, "eval_every": 1000}
    data = {"train": letters(2000, seed=1), "valid": valid}
    run_it(tmp_path / "run", "reward", config, data=data, inputs={"model": model})
    reward, tokenizer = load_scalar(tmp_path / "run" / "model")
    write_rows(tmp_path / "valid.jsonl", valid)
    rows = read_rankings(tmp_path, "valid.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    scores = scores_by(reward, rows)
    worths = [[sum(map(WORTH.__getitem__, one["content"])) for one in row["responses"]] for row in valid]
    found = expected(scores, worths)
    assert found["accuracy"] >= found["bayes_accuracy"] - 0.01
    assert found["nll"] <= found["bayes_nll"] + 0.01
    assert within(scores, worths) >= 0.98
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["ece"] <= 0.03
    assert report["accuracy"] == pytest.approx(found["accuracy"], abs=4 * report["accuracy_se"])
    distances = [one["accuracy"] for one in report["by_rank_distance"]]
    assert distances[-1] > distances[0]
    # These prompts say nothing, so a foreign one takes little away.
    assert report["prompt_blind_accuracy"] == pytest.approx(report["accuracy"], abs=0.03)

    # E4c: rankings say nothing of a constant on a prompt's rewards, and no number about them may hang on one. Whole
    # numbers, so that differences of moved scores are the same to the last bit.
    moved = [[x + random.Random(n).randrange(-20, 21) for x in one] for n, one in enumerate(scores)]
    assert about(rows, moved) == about(rows, scores)
    assert about(rows, scores)[0]["accuracy"] == pytest.approx(report["accuracy"], abs=1e-3)


def about(
    rows: Sequence[Ranking], scores: Sequence[Sequence[float]]
) -> tuple[dict[str, Any], dict[str, float]]:
    """What a run tells of the model that gave these scores: the report, and the numbers of a measurement."""
    both = list(zip(rows, scores, strict=True))
    judged = [Judged(row.ranks, list(map(tuple, row.answers)), mine) for row, mine in both]
    return reward_report(judged, judged), quality([(mine, row.ranks) for row, mine in both])


def wordy(count: int, seed: int) -> list[dict[str, Any]]:
    """Six answers of eight tokens: the first two are worth a little, of the others each has hundreds to choose from."""
    rng, rows = random.Random(seed), []
    for n in range(count):
        answers = [[*rng.choices(range(10, 18), k=2), *rng.choices(range(20, 260), k=6)] for _ in range(6)]
        ranks = noisy_ranks([0.2 * (first + second) for first, second, *_ in answers], rng)
        rows.append(ranking_row(n, [{"content": "", "token_ids": ids} for ids in answers], ranks))
    return rows


def test_a_second_epoch_over_few_rankings_learns_their_noise(tmp_path: Path) -> None:
    """Why one epoch is the default (InstructGPT C.2): held-out loss falls below chance's in the first, and rises in the second."""
    config = {
        "lr": 5e-3, "lr_schedule": "constant", "batch_size": 4, "epochs": 2, "eval_every": 10, "save_every": 1000,
    }  # fmt: skip
    inputs = {"model": make_model(tmp_path / "model", vocab=261)}
    data = {"train": wordy(40, seed=1), "valid": wordy(60, seed=2)}
    rows = read_rows(run_it(tmp_path / "run", "reward", config, data=data, inputs=inputs) / "metrics.jsonl")
    first, second = (row["reward/valid_loss"] for row in rows if row["step"] in (10, 20))
    assert first < math.log(2)
    assert second > first + 0.03


# --- E4b: what an answer is worth hangs on its prompt -----------------------------------------------------------------

TOKENS, LENGTH, ASK, EOS = 8, 6, 8, 9


def fitting_worth(asked: int, answer: Sequence[int]) -> float:
    """Tokens have a worth, and those that the prompt asked for 2 more."""
    return sum(0.35 * (token - 3.5) + 2 * (token == asked) for token in answer)


def fitting(count: int, seed: int) -> list[Ranking]:
    rng, rows = random.Random(seed), []
    for n in range(count):
        asked = rng.randrange(TOKENS)
        answers = [[rng.randrange(TOKENS) for _ in range(LENGTH)] for _ in range(6)]
        ranks = noisy_ranks([fitting_worth(asked, one) for one in answers], rng)
        rows.append(
            Ranking(str(n), [[ASK, asked, *one, EOS] for one in answers], ranks, 1.0, prompt_tokens=2)
        )
    return rows


def worths_of(rows: Sequence[Ranking], asked: int | None = None) -> list[list[float]]:
    """Under the ranking's own prompt, or under a given one."""
    return [
        [fitting_worth(ids[1] if asked is None else asked, ids[2:-1]) for ids in row.answers] for row in rows
    ]


def blind_ceiling(rows: Sequence[Ranking]) -> float:
    """The accuracy of the best guess from the answers alone: prompts are uniform, so their mean probability decides."""
    under = [worths_of(rows, asked) for asked in range(TOKENS)]
    best = []
    for b, row in enumerate(rows):
        for i, j in combinations(range(len(row.ranks)), 2):
            p = fmean(1 / (1 + math.exp(worths[b][j] - worths[b][i])) for worths in under)
            best.append(max(p, 1 - p))
    return fmean(best)


def tuned(steps: int) -> Any:
    """A language model of answers that like what the prompt asked for, and like it more right after it was said."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=10, n_positions=16, n_layer=2, n_embd=48, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        asked = torch.randint(TOKENS, (64,), generator=generator)
        answer = torch.randint(TOKENS, (64, LENGTH), generator=generator)
        for t in range(LENGTH):
            before = answer[:, t - 1] if t else asked
            likes = torch.rand(64, generator=generator) < torch.where(before == asked, 0.75, 0.25)
            answer[:, t] = torch.where(likes, asked, answer[:, t])
        ends = [torch.full((64, 1), token) for token in (ASK, EOS)]
        ids = torch.cat([ends[0], asked[:, None], answer, ends[1]], 1)
        logits = model(input_ids=ids).logits[:, 1:-1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 2:].flatten())
        optimizer.param_groups[0]["lr"] = 3e-3 * lr_factor(step, steps, "cosine", 20)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.transformer


def learned(backbone: Any, rows: Sequence[Ranking]) -> ScalarModel:
    """One pass of the trainer's own steps."""
    head = nn.Linear(48, 1, bias=False)
    nn.init.normal_(head.weight, std=49**-0.5)
    model = ScalarModel(backbone, head).train()
    cfg = RewardConfig(lr=3e-3, batch_size=16, sort_window=1, warmup_steps=10)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    batches = batches_of(rows, cfg, 0, 0)
    for step, batch in enumerate(batches):
        factor = lr_factor(step, len(batches), cfg.lr_schedule, cfg.warmup_steps)
        update(model, [rows[i] for i in batch], state, cfg, factor, shared=True)
    return model


def share_of_gap(model: ScalarModel, rows: Sequence[Ranking]) -> float:
    """How far from the prompt-blind ceiling (0) to the Bayes limit (1)."""
    found, ceiling = expected(scores_by(model, rows), worths_of(rows)), blind_ceiling(rows)
    return (found["accuracy"] - ceiling) / (found["bayes_accuracy"] - ceiling)


def blindness(model: ScalarModel, rows: list[Ranking]) -> tuple[float, float]:
    """(accuracy, accuracy under foreign prompts) as the version's report tells them."""
    report = report_on(model, [], rows, RewardConfig(), 16, shared=True, seen_in_training=0)
    assert report is not None
    return report["accuracy"], report["prompt_blind_accuracy"]


def test_a_reward_model_from_sft_reads_the_prompt_and_the_report_shows_who_does_not() -> None:
    """E4b: from random weights the same training stays on the prompt-blind ceiling, where plain accuracy looks fine."""
    valid = fitting(200, seed=2)
    reader = learned(tuned(400), fitting(4500, seed=1))
    assert share_of_gap(reader, valid) >= 0.8
    accuracy, blind = blindness(reader, valid)
    assert accuracy - blind > 0.1
    ignorant = learned(tuned(0), fitting(1500, seed=1))
    assert share_of_gap(ignorant, valid) < 0.3
    accuracy, blind = blindness(ignorant, valid)
    assert accuracy > 0.7
    assert accuracy - blind < 0.05
