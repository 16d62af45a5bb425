"""Supervised fine-tuning on demonstrations, after InstructGPT (2203.02155, section 3.5 and C.1).

    python -m training.core sft runs/2/run.json

The loss is the mean over all learned tokens of a batch, the token that ends a turn included; prompts are read and not
learned. The head runs on those tokens' places alone, and their logits never stand in memory whole. With `pretrain_fraction`
a share of them is other text (C.3, text_mix.py). Differs from the paper: demonstrations are packed, which changes the
layout of a step and not its loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inference.engine.models import disable_dropout
from training.core.adapters import kept_copy
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState
from training.core.choice import CHOSEN, Judge, check_choice, chosen, consider
from training.core.config import SFTConfig
from training.core.data import (
    Demonstration,
    Dropped,
    Prompt,
    add_dropped,
    messages_of,
    read_demonstrations,
    require_some,
    rows_of,
)
from training.core.errors import RunError
from training.core.language import nll_at
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
    permutation,
    prepare,
    run_steps,
    sorted_batches,
    start,
)
from training.core.meter import meter, whole
from training.core.packing import check_packing, lay_out, pack, row_tokens
from training.core.parallel import world
from training.core.run_folder import Run
from training.core.stage import (
    SampleBook,
    context_of,
    fit_into_memory,
    load_policy_input,
    policy_saver,
    vocabulary_of,
)
from training.core.text_mix import read_texts


def train_sft(run: Run) -> dict[str, Any]:
    """Train and publish; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(SFTConfig, run.config), prepare(run)
    model, tokenizer = load_policy_input(run, "model", device)
    limit, counts = min(cfg.max_length, context_of(model)), Dropped()
    train, valid = _read(run, tokenizer, limit, vocabulary_of(model), cfg, counts)
    check_choice(run, valid)
    use_dropout(model, cfg.dropout)
    fit_into_memory(run, model)
    if cfg.packing:
        check_packing(model, train)
    state, texts = _new_state(model, cfg), read_texts(run, tokenizer, cfg, limit)
    prompts = _prompts(run, valid or train, "valid.jsonl" if valid else "train.jsonl")
    judge = Judge(run, tokenizer, model, prompts, counts) if "reward" in run.inputs and valid else None
    total = cfg.epochs * (steps_per_epoch := len(batches_of(train, cfg, run.seed, 0)))
    report, book = start(run, state, total), SampleBook(run, tokenizer, prompts, limit)
    plan = lru_cache(maxsize=1)(lambda epoch: batches_of(train, cfg, run.seed, epoch))

    def measure() -> Numbers:
        with meter.phase("eval"):
            return held_out(model, valid, cfg) | (judge.numbers(model) if judge else {})

    def do_step(step: int) -> Numbers:
        epoch, place = divmod(step, steps_per_epoch)
        with meter.phase("data"):
            batch = [train[i] for i in plan(epoch)[place]]
            beside = texts.beside(answer_tokens(batch), state) if texts else None
        factor = lr_factor(step, total, cfg.lr_schedule, cfg.warmup_steps)
        row = update(model, batch, state, cfg, factor, beside)
        if due(step + 1, cfg.eval_every, total):
            row |= measure()
            consider(state, row, cfg)
        if due(step + 1, cfg.sample_every, total):
            book.write(report, step + 1, model)
        return row

    if state.step == 0:  # How good it was before, so that curves have a start.
        report.log(0, measure())
        book.write(report, 0, model)
    model.train()
    last = run_steps(run, state, report, do_step)
    published, step, numbers = chosen(state, last)
    publish_model(
        run, "model", policy_saver(cast(PreTrainedModel, published), tokenizer, cfg), numbers, counts
    )
    about = {"select": cfg.select, "chosen_step": step} | (
        {"text_share": texts.share(state)} if texts else {}
    )
    return result(run.kind, state.step, numbers, counts, time.monotonic() - began, **about)


def _new_state(model: PreTrainedModel, cfg: SFTConfig) -> TrainingState:
    modules: dict[str, nn.Module] = {"model": model}
    if cfg.select != "last":
        modules[CHOSEN] = kept_copy(model)
    return TrainingState(modules=modules, optimizer=make_optimizer([(model, cfg.lr)], cfg))


def _read(
    run: Run, tokenizer: Any, limit: int, vocabulary: int, cfg: SFTConfig, counts: Dropped
) -> tuple[list[Demonstration], list[Demonstration]]:
    data, dropped_valid = run.input("dataset"), Dropped()
    train, valid = (
        _within(
            read_demonstrations(data, name, tokenizer, limit, vocabulary, dropped, loss_turns=cfg.loss_turns),
            cfg,
            dropped,
        )
        for name, dropped in (("train.jsonl", counts), ("valid.jsonl", dropped_valid))
    )
    require_some(train, "demonstrations", counts)
    add_dropped(counts, dropped_valid, "valid")
    return train, valid


def _within(rows: Sequence[Demonstration], cfg: SFTConfig, dropped: Dropped) -> list[Demonstration]:
    """Those whose prompt and answer keep their own limits. Counts `prompt_too_long` and `answer_too_long`."""
    kept = []
    for row in rows:
        if cfg.max_prompt_length is not None and row.prompt_tokens > cfg.max_prompt_length:
            dropped["prompt_too_long"] += 1
        elif cfg.max_answer_length is not None and len(row.ids) - row.prompt_tokens > cfg.max_answer_length:
            dropped["answer_too_long"] += 1
        else:
            kept.append(row)
    return kept


def _prompts(run: Run, kept: Sequence[Demonstration], name: str) -> list[Prompt]:
    """What the last learned turn of each demonstration answers."""
    by_id = {one.id: one for one in kept}
    found = []
    for where, row in rows_of(run.input("dataset"), name):
        if one := by_id.get(str(row["id"])):
            messages = messages_of(row, "messages", where)[: one.turn]
            found.append(Prompt(one.id, messages, one.ids[: one.prompt_tokens]))
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
    texts: Sequence[Demonstration] | None = None,
) -> Numbers:
    """One optimizer step. Each part's summed loss is divided by the learned tokens of the whole batch, not of the part;
    the pieces of text are rows of the same batch, told apart in its numbers alone."""
    answers, others = answer_tokens(batch), answer_tokens(texts or ())
    tokens = answers + others
    sums = {"loss": 0.0, "text_loss": 0.0, "positions": 0.0}
    parts = [("loss", rows) for rows in parts_of(batch, cfg)]
    parts += [("text_loss", rows) for rows in (parts_of(texts, cfg) if texts else ())]
    with meter.phase("forward_backward"):
        for name, rows in parts:
            loss = rows_nll(model, rows, cfg) / tokens
            torch.autograd.backward(loss)
            sums[name] += float(loss.detach())
            sums["positions"] += len(rows) * max(map(row_tokens, rows))
        sums = world.sum(sums)
    check_finite(sums["loss"] + sums["text_loss"], "sft/loss")
    norms = optimizer_step(state.optimizer, {"model": model}, cfg, factor)
    read = [*batch, *(texts or ())]
    meter.trained(whole([len(one.ids) for one in read]), model)
    text = {} if texts is None else {"sft/text_tokens": float(others)}
    if others:
        text["sft/text_loss"] = sums["text_loss"] * tokens / others
    return text | {
        "sft/loss": sums["loss"] * tokens / answers, "sft/grad_norm": norms["model"], "sft/lr": cfg.lr * factor,
        "sft/tokens": answers, "sft/padding_share": 1 - row_tokens(read) / sums["positions"],
    }  # fmt: skip


def parts_of(batch: Sequence[Demonstration], cfg: SFTConfig) -> list[list[list[Demonstration]]]:
    """This rank's share of a batch as micro-batches of rows, a row being one demonstration, or several with `packing`."""
    lengths = [len(one.ids) for one in batch]
    rows = pack(lengths) if cfg.packing else [[i] for i in range(len(batch))]
    cost = [sum(lengths[i] for i in row) for row in rows]
    mine = world.share(range(len(rows)), lambda r: cost[r])
    parts = micro_batches(mine, lambda r: (1, cost[r]), cfg.micro_batch_tokens)
    return [[[batch[i] for i in rows[r]] for r in part] for part in parts]


def answer_tokens(rows: Sequence[Demonstration]) -> int:
    return sum(row.learned_tokens for row in rows)


def answer_nll(model: PreTrainedModel, rows: Sequence[Demonstration], cfg: SFTConfig) -> Tensor:
    """Summed NLL of the learned turns' tokens, EOS included, in nats (a scalar tensor); one demonstration a row."""
    return rows_nll(model, [[row] for row in rows], cfg)


def rows_nll(model: PreTrainedModel, rows: Sequence[Sequence[Demonstration]], cfg: SFTConfig) -> Tensor:
    """The same for rows of one or more demonstrations."""
    with autocast(model.device, enabled=cfg.autocast_bf16):
        return nll_at(model, *lay_out(rows, model.device))


def held_out(model: PreTrainedModel, rows: Sequence[Demonstration], cfg: SFTConfig) -> Numbers:
    """Mean NLL per learned token of the validation set; nothing without one."""
    if not rows:
        return {}
    with evaluating(model):
        nats = sum(float(rows_nll(model, part, cfg)) for part in parts_of(rows, cfg))
    return {"sft/valid_nll": world.sum({"nats": nats})["nats"] / answer_tokens(rows)}


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
