"""A reward model from whole rankings, after InstructGPT (2203.02155, Eq. 1 and C.2).

    python -m training.core reward runs/3/run.json

Every answer goes through the model once and all pairs of a ranking come from those K scores: K passes where training on
pairs takes K (K - 1), and no answer is seen K - 1 times in an epoch, which overfits (footnote 5). Ties make no pair.
At the end the score is moved so that demonstrations have mean 0 (3.5), or the training answers where none are given.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from inference.engine.models import ScalarModel, disable_dropout, last_real
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState
from training.core.config import RewardConfig
from training.core.data import Dropped, Ranking, read_demonstrations, read_rankings, require_some
from training.core.loop import (
    Numbers,
    autocast,
    check_finite,
    due,
    evaluating,
    lr_factor,
    make_optimizer,
    micro_batches,
    optimizer_step,
    pad,
    permutation,
    prepare,
    run_steps,
    sorted_batches,
    start,
)
from training.core.losses import kept_pairs, ranking_losses
from training.core.ranking_quality import quality
from training.core.run_folder import Run
from training.core.stage import context_of, load_policy_input, new_scalar_input, scalar_saver, vocabulary_of


def train_reward(run: Run) -> dict[str, Any]:
    """Train and publish; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(RewardConfig, run.config), prepare(run)
    policy, tokenizer = load_policy_input(run, "model", device)
    limit, vocabulary = min(cfg.max_length, context_of(policy)), vocabulary_of(policy)
    model = new_scalar_input(run, "model", device)
    del policy
    dropped, dropped_valid = Dropped(), Dropped()
    data = run.input("dataset")
    train = read_rankings(data, "train.jsonl", tokenizer, limit, vocabulary, dropped)
    valid = read_rankings(data, "valid.jsonl", tokenizer, limit, vocabulary, dropped_valid)
    require_some(train, "rankings with a preference", dropped)
    disable_dropout(model)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    steps_per_epoch = len(batches_of(train, cfg, run.seed, 0))
    total = cfg.epochs * steps_per_epoch
    report = start(run, state, total)

    def do_step(step: int) -> Numbers:
        epoch, place = divmod(step, steps_per_epoch)
        batch = [train[i] for i in batches_of(train, cfg, run.seed, epoch)[place]]
        row = update(model, batch, state, cfg, lr_factor(step, total, cfg.lr_schedule, cfg.warmup_steps))
        if due(step + 1, cfg.eval_every, total):
            row |= held_out(model, valid, cfg)
        return row

    if state.step == 0:
        report.log(0, held_out(model, valid, cfg))
    model.train()
    last = run_steps(run, state, report, do_step)
    model.eval()
    model.shift = normal_shift(run, model, tokenizer, train, limit, dropped)
    last = {**last, "reward/shift": model.shift}
    counts = {**dropped, **{f"valid_{reason}": count for reason, count in dropped_valid.items()}}
    publish_model(run, "model", scalar_saver(model, tokenizer, cfg), last, counts)
    return result(
        run.kind,
        state.step,
        last,
        counts,
        time.monotonic() - began,
        rankings=len(train),
        valid_rankings=len(valid),
    )


def batches_of(rows: Sequence[Ranking], cfg: RewardConfig, seed: int, epoch: int) -> list[list[int]]:
    """Batches of ranking indices: whole rankings, shuffled by seed and epoch."""
    return sorted_batches([], permutation(len(rows), seed, "order", epoch), cfg.batch_size, 1, seed)


def _parts(rows: Sequence[Ranking], budget: int) -> list[list[int]]:
    return micro_batches(range(len(rows)), lambda i: (len(rows[i].answers), rows[i].longest), budget)


def scores_of(
    model: ScalarModel, rows: Sequence[Ranking], cfg: RewardConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Raw scores, ranks and which places are filled, each (B, K): K is the most answers of a ranking here.

    Every answer is one row of one forward pass, whatever the number of pairs it is in.
    """
    device = model.score.weight.device
    answers = [answer for row in rows for answer in row.answers]
    ids_NT, mask_NT = pad(answers, device)
    with autocast(device, enabled=cfg.autocast_bf16):
        values_NT = model(ids_NT, mask_NT)
    flat_N = values_NT.gather(1, last_real(mask_NT)).squeeze(1)
    present_BK = torch.zeros(
        len(rows), max(len(row.answers) for row in rows), dtype=torch.bool, device=device
    )
    ranks_BK = torch.zeros(present_BK.shape, dtype=torch.long, device=device)
    for b, row in enumerate(rows):
        present_BK[b, : len(row.answers)] = True
        ranks_BK[b, : len(row.ranks)] = torch.tensor(row.ranks, device=device)
    scores_BK = torch.zeros(present_BK.shape, dtype=flat_N.dtype, device=device).masked_scatter(
        present_BK, flat_N
    )
    return scores_BK, ranks_BK, present_BK


def update(
    model: ScalarModel, batch: Sequence[Ranking], state: TrainingState, cfg: RewardConfig, factor: float
) -> Numbers:
    """One optimizer step: sum over rankings of weight x their loss, divided by the rankings of the whole batch."""
    began = time.perf_counter()
    total, right, pairs = 0.0, 0.0, 0
    seen: list[Tensor] = []
    for part in _parts(batch, cfg.micro_batch_tokens):
        rows = [batch[i] for i in part]
        scores, ranks, present = scores_of(model, rows, cfg)
        weights = torch.tensor([row.weight for row in rows], device=scores.device)
        loss = (ranking_losses(scores, ranks, present) * weights).sum() / len(batch)
        torch.autograd.backward(loss)
        total += float(loss.detach())
        scores = scores.detach()
        kept = kept_pairs(ranks, present)
        pairs += int(kept.sum())
        right += float((scores.unsqueeze(2) > scores.unsqueeze(1))[kept].sum())
        seen.append(scores[present])
    check_finite(total, "reward/loss")
    norms = optimizer_step(state.optimizer, state.modules, cfg, factor)
    scores = torch.cat(seen)
    tokens = sum(len(answer) for row in batch for answer in row.answers)
    return {
        "reward/loss": total, "reward/accuracy": right / pairs, "reward/pairs": pairs, "reward/grad_norm": norms["model"],
        "reward/lr": cfg.lr * factor, "reward/score_mean": float(scores.mean()), "reward/score_std": float(scores.std(correction=0)),
        "perf/tokens_per_s": tokens / (time.perf_counter() - began),
    }  # fmt: skip


def held_out(model: ScalarModel, rows: Sequence[Ranking], cfg: RewardConfig) -> Numbers:
    """Loss, accuracy (also by rank distance), calibration and Kendall's tau on the validation rankings."""
    if not rows:
        return {}
    scored: list[tuple[list[float], list[int]]] = []
    loss = 0.0
    with evaluating(model):
        for part in _parts(rows, cfg.micro_batch_tokens):
            members = [rows[i] for i in part]
            scores, ranks, present = scores_of(model, members, cfg)
            loss += float(ranking_losses(scores, ranks, present).sum())
            scored += [(s[: len(r.ranks)].tolist(), r.ranks) for s, r in zip(scores, members, strict=True)]
    return {"reward/valid_loss": loss / len(rows), **quality(scored)}


def normal_shift(
    run: Run, model: ScalarModel, tokenizer: Any, train: Sequence[Ranking], limit: int, dropped: Dropped
) -> float:
    """Mean raw score over the demonstrations, or over the training answers where no demonstrations are given."""
    answers = [answer for row in train for answer in row.answers]
    if "demonstrations" in run.inputs:
        counts = Dropped()
        demos = read_demonstrations(run.input("demonstrations"), "train.jsonl", tokenizer, limit, counts)
        dropped.update({f"demonstrations_{reason}": count for reason, count in counts.items()})
        require_some(demos, "demonstrations to normalise on", counts)
        answers = [demo.ids for demo in demos]
    return mean_score(model, answers, run.config.micro_batch_tokens)


def mean_score(model: ScalarModel, answers: Sequence[list[int]], budget: int) -> float:
    """Mean of the raw scores (before any shift) of prompt + answer ids."""
    total = 0.0
    with evaluating(model):
        for part in micro_batches(range(len(answers)), lambda i: (1, len(answers[i])), budget):
            ids, mask = pad([answers[i] for i in part], model.score.weight.device)
            total += float(model(ids, mask).gather(1, last_real(mask)).double().sum())
    return total / len(answers)
