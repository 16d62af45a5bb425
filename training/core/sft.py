"""Supervised fine-tuning on demonstrations, after InstructGPT (2203.02155, section 3.5 and C.1).

    python -m training.core sft runs/2/run.json

The loss is the mean over all answer tokens of a batch, the closing EOS included; prompts are read and not learned.
Differs from the paper: the last step is published, and not the one that a reward model likes best.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inference.engine.models import disable_dropout
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.data import (
    Demonstration,
    Dropped,
    Prompt,
    messages_of,
    read_demonstrations,
    require_some,
    rows_of,
)
from training.core.errors import RunError
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
from training.core.losses import nll_sum
from training.core.report import Reporter
from training.core.run_folder import Run
from training.core.stage import SampleBook, context_of, load_policy_input, logits_from, policy_saver


def train_sft(run: Run) -> dict[str, Any]:
    """Train and publish; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(SFTConfig, run.config), prepare(run)
    model, tokenizer = load_policy_input(run, "model", device)
    limit, dropped, dropped_valid = min(cfg.max_length, context_of(model)), Dropped(), Dropped()
    data = run.input("dataset")
    train = read_demonstrations(data, "train.jsonl", tokenizer, limit, dropped)
    valid = read_demonstrations(data, "valid.jsonl", tokenizer, limit, dropped_valid)
    require_some(train, "demonstrations", dropped)
    use_dropout(model, cfg.dropout)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    steps_per_epoch = len(batches_of(train, cfg, run.seed, 0))
    total = cfg.epochs * steps_per_epoch
    report = start(run, state, total)
    book = SampleBook(
        run, tokenizer, _prompts(run, valid or train, "valid.jsonl" if valid else "train.jsonl"), limit
    )
    batches: dict[int, list[list[int]]] = {}

    def do_step(step: int) -> Numbers:
        epoch, place = divmod(step, steps_per_epoch)
        if epoch not in batches:
            batches.clear()
            batches[epoch] = batches_of(train, cfg, run.seed, epoch)
        batch = [train[i] for i in batches[epoch][place]]
        row = update(model, batch, state, cfg, lr_factor(step, total, cfg.lr_schedule, cfg.warmup_steps))
        if due(step + 1, cfg.eval_every, total):
            row |= held_out(model, valid, cfg)
        if due(step + 1, cfg.sample_every, total):
            book.write(report, step + 1, model)
        return row

    _look_before(state, report, book, model, valid, cfg)
    model.train()
    last = run_steps(run, state, report, do_step)
    counts = {**dropped, **{f"valid_{reason}": count for reason, count in dropped_valid.items()}}
    publish_model(run, "model", policy_saver(model, tokenizer, cfg), last, counts)
    return result(run.kind, state.step, last, counts, time.monotonic() - began)


def _look_before(
    state: TrainingState,
    report: Reporter,
    book: SampleBook,
    model: PreTrainedModel,
    valid: list[Demonstration],
    cfg: SFTConfig,
) -> None:
    """Step 0: how good it was before, so that curves have a start."""
    if state.step == 0:
        report.log(0, held_out(model, valid, cfg))
        book.write(report, 0, model)


def _prompts(run: Run, kept: Sequence[Demonstration], name: str) -> list[Prompt]:
    by_id = {one.id: one for one in kept[:16]}
    found = []
    for where, row in rows_of(run.input("dataset"), name):
        if one := by_id.get(str(row["id"])):
            found.append(
                Prompt(one.id, messages_of(row, "messages", where)[:-1], one.ids[: one.prompt_tokens])
            )
    return found


def batches_of(rows: Sequence[Demonstration], cfg: SFTConfig, seed: int, epoch: int) -> list[list[int]]:
    """Batches of indices for an epoch: shuffled by seed and epoch, sorted by length within windows."""
    lengths = [len(row.ids) for row in rows]
    order = permutation(len(rows), seed, "order", epoch)
    return sorted_batches(lengths, order, cfg.batch_size, cfg.sort_window, seed, "order", epoch)


def update(
    model: PreTrainedModel,
    batch: Sequence[Demonstration],
    state: TrainingState,
    cfg: SFTConfig,
    factor: float,
) -> Numbers:
    """One optimizer step. Each part's summed loss is divided by the answer tokens of the whole batch, not of the part."""
    began = time.perf_counter()
    tokens = answer_tokens(batch)
    total, positions = 0.0, 0
    for part in micro_batches(range(len(batch)), lambda i: (1, len(batch[i].ids)), cfg.micro_batch_tokens):
        rows = [batch[i] for i in part]
        loss = answer_nll(model, rows, cfg) / tokens
        torch.autograd.backward(loss)
        total += float(loss.detach())
        positions += len(rows) * max(len(row.ids) for row in rows)
    check_finite(total, "sft/loss")
    norms = optimizer_step(state.optimizer, state.modules, cfg, factor)
    real = sum(len(row.ids) for row in batch)
    return {
        "sft/loss": total, "sft/grad_norm": norms["model"], "sft/lr": cfg.lr * factor, "sft/tokens": tokens,
        "sft/padding_share": 1 - real / positions, "perf/tokens_per_s": real / (time.perf_counter() - began),
    }  # fmt: skip


def answer_tokens(rows: Sequence[Demonstration]) -> int:
    return sum(len(row.ids) - row.prompt_tokens for row in rows)


def answer_nll(model: PreTrainedModel, rows: Sequence[Demonstration], cfg: SFTConfig) -> Tensor:
    """Summed NLL of the answers' tokens, EOS included, in nats (a scalar tensor)."""
    ids_BT, mask_BT = pad([row.ids for row in rows], model.device)
    learned_BT = mask_BT.clone()
    for b, row in enumerate(rows):
        learned_BT[b, : row.prompt_tokens] = 0
    first = min(row.prompt_tokens for row in rows) - 1
    with autocast(model.device, enabled=cfg.autocast_bf16):
        logits = logits_from(model, ids_BT, mask_BT, first)
    return nll_sum(logits, ids_BT[:, first + 1 :], learned_BT[:, first + 1 :])


def held_out(model: PreTrainedModel, rows: Sequence[Demonstration], cfg: SFTConfig) -> Numbers:
    """Mean NLL per answer token of the validation set; nothing without one."""
    if not rows:
        return {}
    with evaluating(model):
        parts = micro_batches(range(len(rows)), lambda i: (1, len(rows[i].ids)), cfg.micro_batch_tokens)
        nats = sum(float(answer_nll(model, [rows[i] for i in part], cfg)) for part in parts)
    return {"sft/valid_nll": nats / answer_tokens(rows)}


def use_dropout(model: nn.Module, p: float) -> None:
    """Dropout p on what attention and MLP add to the residual stream, and none elsewhere (InstructGPT C.1)."""
    disable_dropout(model)
    if p == 0:
        return
    names = ("resid_dropout", "mlp.dropout")
    places = [m for name, m in model.named_modules() if isinstance(m, nn.Dropout) and name.endswith(names)]
    if not places:
        raise RunError("no_dropout", "This architecture has no residual dropout.", "Set dropout to 0.")
    for place in places:
        place.p = p
