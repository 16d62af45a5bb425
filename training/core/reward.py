"""A reward model from whole rankings, after InstructGPT (2203.02155, Eq. 1 and C.2).

    python -m training.core reward runs/3/run.json

Every answer goes through the model once and all pairs of a ranking come from those K scores: K passes where training on
pairs takes K (K - 1), and no answer is seen K - 1 times in an epoch, which overfits (footnote 5). The prompt is read once
for all its answers (shared_prefix.py). Ties make no pair, unless `ties` says otherwise. At the end a report says how
good it is, and the score is moved so that demonstrations have mean 0 (3.5), or as `normalize` says (reward_normal.py).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import PreTrainedTokenizerBase

from inference.engine.models import ScalarModel, disable_dropout
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState
from training.core.config import RewardConfig
from training.core.data import Dropped, Ranking, add_dropped, read_rankings, require_some, require_weight
from training.core.loop import (
    Numbers,
    check_finite,
    due,
    lr_factor,
    make_optimizer,
    optimizer_step,
    prepare,
    run_steps,
    start,
)
from training.core.losses import kept_pairs, tied_pairs
from training.core.meter import meter
from training.core.parallel import world
from training.core.reward_batches import (
    batches_of,
    check_hold_out,
    check_other_labelers,
    layout_of,
    parts_of,
    share_of,
)
from training.core.reward_measure import held_out, report_on
from training.core.reward_normal import normal_shift, sampled_answers, standardize
from training.core.reward_scores import Scored, choose_way, scores_of, weighted_loss
from training.core.run_folder import Run, write_json
from training.core.stage import (
    context_of,
    fit_into_memory,
    load_policy_input,
    new_scalar_input,
    scalar_saver,
    vocabulary_of,
)


@dataclass(frozen=True, slots=True)
class Data:
    """What is learned from and what is measured on; `dropped` counts what was left out of either."""

    train: list[Ranking]
    valid: list[Ranking]
    heldout_labelers: list[Ranking]
    """By people whose rankings are never learned from, of prompts that are not either."""
    dropped: Dropped
    seen_in_training: int


def train_reward(run: Run) -> dict[str, Any]:
    """Train and publish; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(RewardConfig, run.config), prepare(run)
    policy, tokenizer = load_policy_input(run, "model", device)
    limit, vocabulary = min(cfg.max_length, context_of(policy)), vocabulary_of(policy)
    model = new_scalar_input(run, "model", device)
    data = read_data(run, cfg, tokenizer, limit, vocabulary)
    drawn = sampled_answers(run, policy, tokenizer, data.train, cfg, limit, data.dropped)
    del policy
    disable_dropout(model)
    fit_into_memory(run, model)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    plan = [
        [data.train[i] for i in batch]
        for e in range(cfg.epochs)
        for batch in batches_of(data.train, cfg, run.seed, e)
    ]
    report = start(run, state, len(plan))
    if drawn and state.step == 0:
        standardize(model, drawn, cfg.micro_batch_tokens)
    model.train()
    sharing = choose_way(
        model, plan[min(state.step, len(plan) - 1)], cfg, limit, held=state.numbers.get("shared_prefix")
    )
    state.numbers["shared_prefix"] = float(sharing.used)

    def do_step(step: int) -> Numbers:
        factor = lr_factor(step, len(plan), cfg.lr_schedule, cfg.warmup_steps)
        row = update(model, plan[step], state, cfg, factor, shared=sharing.used)
        if due(step + 1, cfg.eval_every, len(plan)):
            with meter.phase("eval"):
                row |= held_out(model, data.valid, cfg, shared=sharing.used)
        return row

    if state.step == 0:
        errors = {
            "reward/shared_prefix_error": sharing.score_error,
            "reward/shared_prefix_gradient_error": sharing.gradient_error,
        }
        measured = {name: value for name, value in errors.items() if value is not None}
        report.log(0, measured | held_out(model, data.valid, cfg, shared=sharing.used))
    last = run_steps(run, state, report, do_step)
    model.eval()
    about = report_on(
        model, data.train, data.valid, cfg, limit, heldout_labelers=data.heldout_labelers, shared=sharing.used,
        seen_in_training=data.seen_in_training,
    )  # fmt: skip
    if drawn:  # After the report: it tells of the scores whose differences were learned.
        last = {**last, "reward/gain": standardize(model, drawn, cfg.micro_batch_tokens)}
    else:
        model.shift = normal_shift(
            run, model, tokenizer, data.train, cfg, limit, data.dropped, shared=sharing.used
        )
    if world.is_first:
        write_json(run.folder / "report.json", about)
    last = {**last, "reward/shift": model.shift, **_of_report(about)}
    publish_model(run, "model", scalar_saver(model, tokenizer, cfg), last, data.dropped, about)
    return result(
        run.kind, state.step, last, data.dropped, time.monotonic() - began, rankings=len(data.train),
        valid_rankings=len(data.valid), shared_prefix=sharing._asdict(), report=about,
    )  # fmt: skip


def read_data(
    run: Run, cfg: RewardConfig, tokenizer: PreTrainedTokenizerBase, limit: int, vocabulary: int
) -> Data:
    """Both splits, and held-out labelers' rankings where the run has some.

    RunError where nothing is left to learn from, or where a prompt is in train.jsonl and in what is measured on.
    """
    folder, dropped, dropped_valid, dropped_others = run.input("dataset"), Dropped(), Dropped(), Dropped()
    train = read_rankings(folder, "train.jsonl", tokenizer, limit, vocabulary, dropped, ties=cfg.ties)
    valid = read_rankings(folder, "valid.jsonl", tokenizer, limit, vocabulary, dropped_valid, ties=cfg.ties)
    others = []
    if (beside := run.inputs.get("heldout_labelers")) is not None:
        others = read_rankings(
            beside, "valid.jsonl", tokenizer, limit, vocabulary, dropped_others, ties=cfg.ties
        )
    require_some(train, "rankings with a preference", dropped)
    require_weight(train, "train.jsonl")
    add_dropped(dropped, dropped_valid, "valid")
    add_dropped(dropped, dropped_others, "heldout_labelers")
    check_hold_out(train, others)
    check_other_labelers(train, others)
    return Data(train, valid, others, dropped, check_hold_out(train, valid))


def update(
    model: ScalarModel,
    batch: Sequence[Ranking],
    state: TrainingState,
    cfg: RewardConfig,
    factor: float,
    *,
    shared: bool = False,
) -> Numbers:
    """One optimizer step: sum over rankings of weight x their loss, divided by the rankings of the whole batch."""
    sums: dict[str, float] = defaultdict(float)
    with meter.phase("forward_backward"):
        mine = [batch[i] for i in share_of(batch)]
        for part in parts_of(mine, cfg.micro_batch_tokens, shared=shared):
            rows = [mine[i] for i in part]
            scored = scores_of(model, rows, cfg, shared=shared)
            loss = weighted_loss(scored, rows, cfg, len(batch))
            torch.autograd.backward(loss)
            sums["loss"] += float(loss.detach())
            _watch(scored, sums)
        sums = world.sum(sums)
    check_finite(sums["loss"], "reward/loss")
    norms = optimizer_step(state.optimizer, state.modules, cfg, factor)
    meter.trained(layout_of(batch).pieces(shared=shared), model)
    return {
        "reward/loss": sums["loss"], **_agreement(sums), "reward/grad_norm": norms["model"], "reward/lr": cfg.lr * factor,
        "reward/backbone_tokens": sums["tokens"], "reward/shared_prefix": float(shared),
    }  # fmt: skip


@torch.no_grad()
def _watch(scored: Scored, sums: dict[str, float]) -> None:
    """Add up how rankings were ordered before the step, and how their scores lie."""
    kept, scores_N = kept_pairs(scored.ranks, scored.present), scored.scores[scored.present].double()
    sums["pairs"] += float(kept.sum())
    sums["tied_pairs"] += float(tied_pairs(scored.ranks, scored.present).sum()) / 2
    sums["right"] += float((scored.scores.unsqueeze(2) > scored.scores.unsqueeze(1))[kept].sum())
    sums["answers"] += len(scores_N)
    sums["score"] += float(scores_N.sum())
    sums["square"] += float(scores_N.square().sum())
    sums["tokens"] += scored.tokens


def _agreement(sums: Mapping[str, float]) -> Numbers:
    mean = sums["score"] / sums["answers"]
    found = {"reward/pairs": sums["pairs"], "reward/tied_pairs": sums["tied_pairs"], "reward/score_mean": mean,
             "reward/score_std": math.sqrt(max(sums["square"] / sums["answers"] - mean**2, 0.0))}  # fmt: skip
    return found | ({"reward/accuracy": sums["right"] / sums["pairs"]} if sums["pairs"] else {})


def _of_report(report: dict[str, Any] | None) -> Numbers:
    """What of the report stands among the version's numbers."""
    if not report:
        return {}
    names = ("labeler_agreement", "attainable_accuracy", "prompt_blind_accuracy")
    found = {f"reward/{name}": report[name] for name in names if report[name] is not None}
    others = report["heldout_labelers"]
    return found | ({"reward/heldout_labelers_accuracy": others["accuracy"]} if others else {})
