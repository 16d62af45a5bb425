"""Step zero: a tokenizer and a small language model from raw text.

    python -m training.core pretrain runs/1/run.json

Texts are inputs/dataset/*.txt (documents apart by a line `<|endoftext|>`) and dialogues of train.jsonl, rendered by the
chat template. Documents are joined by EOS and cut into blocks of `context` tokens, GPT-2's way (Radford et al. 2019):
attention may look across a border, which costs little and keeps every block full. A share of the documents, chosen by
a hash of their text, is held out; so are valid.jsonl and valid*.txt.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.chat import Message, decode, encode_text, ensure_pad, render_dialogue
from inference.engine.models import fuse_gelu
from inference.engine.tokenizer import train_tokenizer
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState
from training.core.config import PretrainConfig
from training.core.data import (
    NOT_UTF8,
    Dropped,
    Prompt,
    bad_row,
    messages_of,
    prompt_ids,
    require_some,
    rows_of,
)
from training.core.errors import RunError
from training.core.language import nll_at, padded, places_before
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
    start,
    stream_seed,
)
from training.core.meter import meter, whole
from training.core.parallel import world
from training.core.run_folder import Run
from training.core.stage import SampleBook, checkpoint_activations, policy_saver

SEPARATOR = "<|endoftext|>"
SECONDS = "seconds"
Document = str | list[Message]


def train_pretrain(run: Run) -> dict[str, Any]:
    """Train and publish; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(PretrainConfig, run.config), prepare(run)
    train, valid = read_documents(run.input("dataset"), cfg.valid_share, run.seed)
    require_some(train, "documents", Dropped())
    # The tokenizer needs no checkpoint: the same texts give the same one again.
    tokenizer = train_tokenizer(_plain(train), cfg.vocab_size)
    model = new_model(tokenizer, cfg, stream_seed(run.seed, "init"))
    torch.nn.Module.to(model, device)
    checkpoint_activations(cfg, model)
    stream = torch.tensor([i for d in train for i in document_ids(tokenizer, d)], dtype=torch.long)
    held_out = [document_ids(tokenizer, d) for d in valid]
    if len(stream) <= cfg.context:
        raise RunError(
            "empty_dataset",
            f"All text together has {len(stream)} tokens.",
            "Give more text, or lower context.",
        )
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    report = start(run, state, cfg.steps)
    spent = state.numbers.get(SECONDS, 0.0)  # by earlier attempts, up to the checkpoint
    book = SampleBook(run, tokenizer, _prompts(tokenizer, valid or train), cfg.context)

    def do_step(step: int) -> Numbers:
        with meter.phase("data"):
            blocks = block_batch(stream, cfg, run.seed, step).to(device)
        row = _update(model, blocks, state, cfg, step)
        if cfg.budget_seconds:
            state.numbers[SECONDS] = world.highest(spent + time.monotonic() - began)
            if state.numbers[SECONDS] > cfg.budget_seconds:
                state.numbers["stopped"] = "budget_seconds"
        if due(step + 1, cfg.eval_every, cfg.steps) or "stopped" in state.numbers:
            with meter.phase("eval"):
                row |= bits_per_byte(model, tokenizer, held_out, cfg)
        if due(step + 1, cfg.sample_every, cfg.steps):
            book.write(report, step + 1, model)
        return row

    model.train()
    last = run_steps(run, state, report, do_step)
    publish_model(run, "model", policy_saver(model, tokenizer, cfg), last, {})
    return result(
        run.kind, state.step, last, {}, time.monotonic() - began, stopped=state.numbers.get("stopped")
    )


def _update(
    model: PreTrainedModel, blocks: Tensor, state: TrainingState, cfg: PretrainConfig, step: int
) -> Numbers:
    count = blocks.shape[0] * (blocks.shape[1] - 1)
    total = 0.0
    with meter.phase("forward_backward"):
        mine = blocks[world.share(range(len(blocks)), lambda _: 1)]
        for part in torch.split(mine, max(cfg.micro_batch_tokens // cfg.context, 1)) if len(mine) else ():
            ids, targets = part[:, :-1], part[:, 1:].flatten()
            with autocast(blocks.device, enabled=cfg.autocast_bf16):
                places = torch.arange(len(targets), device=blocks.device)
                loss = nll_at(model, padded(ids, torch.ones_like(ids)), places, targets) / count
            torch.autograd.backward(loss)
            total += float(loss.detach())
        total = world.sum({"loss": total})["loss"]
    check_finite(total, "pretrain/loss")
    factor = lr_factor(step, cfg.steps, cfg.lr_schedule, cfg.warmup_steps)
    norms = optimizer_step(state.optimizer, state.modules, cfg, factor)
    meter.trained(whole([cfg.context] * len(blocks)), model)
    return {"pretrain/loss": total, "pretrain/grad_norm": norms["model"], "pretrain/lr": cfg.lr * factor}


def new_model(tokenizer: PreTrainedTokenizerBase, cfg: PretrainConfig, seed: int) -> PreTrainedModel:
    """A GPT-2-shaped decoder with random weights and a tied head; no dropout, since small models see their text few times."""
    config = GPT2Config(
        vocab_size=len(tokenizer), n_layer=cfg.layers, n_embd=cfg.width, n_head=cfg.heads, n_positions=cfg.context,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=ensure_pad(tokenizer),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return fuse_gelu(GPT2LMHeadModel(config))


# --- text -----------------------------------------------------------------------------------------------------------


def read_documents(folder: Path, share: float, seed: int) -> tuple[list[Document], list[Document]]:
    """All documents of the dataset folder: (to train on, held out)."""
    train: list[Document] = []
    valid: list[Document] = []
    for name, document in _documents(folder):
        digest = hashlib.sha256(f"{seed}:{document}".encode()).digest()
        chosen = int.from_bytes(digest[:4], "big") < share * 2**32
        (valid if name.startswith("valid") or chosen else train).append(document)
    return train, valid


def _documents(folder: Path) -> Iterator[tuple[str, Document]]:
    for path in sorted(folder.glob("*.txt")):
        for text in _text_of(path).split(f"\n{SEPARATOR}\n"):
            if text := text.removeprefix(f"{SEPARATOR}\n").removesuffix(f"\n{SEPARATOR}").strip("\n"):
                yield path.name, text
    for name in ("train.jsonl", "valid.jsonl"):
        for where, row in rows_of(folder, name):
            yield name, messages_of(row, "messages", where)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as wrong:
        line = 1 + wrong.object.count(b"\n", 0, wrong.start)
        raise bad_row(f"{path.name} line {line}", f"is not UTF-8 ({wrong.reason})", NOT_UTF8) from wrong


def _plain(documents: list[Document]) -> Iterator[str]:
    for document in documents:
        if isinstance(document, str):
            yield document
        else:
            yield from (message["content"] for message in document)


def document_ids(tokenizer: PreTrainedTokenizerBase, document: Document) -> list[int]:
    """Token ids of a document, EOS at its end. Dialogues end with the EOS of their last turn."""
    if isinstance(document, str):
        return [*encode_text(tokenizer, document), int(cast(int, tokenizer.eos_token_id))]
    return render_dialogue(tokenizer, document)[0]


def _prompts(tokenizer: PreTrainedTokenizerBase, documents: list[Document]) -> list[Prompt]:
    """Openings for samples.jsonl: the first turns of dialogues."""
    openings = [d[:1] for d in documents if not isinstance(d, str) and d[0]["role"] == "user"][:16]
    return [Prompt(str(n), o, prompt_ids(tokenizer, o, "a dialogue")) for n, o in enumerate(openings)]


def block_batch(stream: Tensor, cfg: PretrainConfig, seed: int, step: int) -> Tensor:
    """Blocks (B, context + 1) of one step. Each epoch shifts the block borders and shuffles anew, by seed and epoch alone."""
    per_epoch = max((len(stream) - 1) // cfg.context - 1, 1)
    rows = []
    for n in range(step * cfg.batch_size, (step + 1) * cfg.batch_size):
        epoch, place = divmod(n, per_epoch)
        shift = stream_seed(seed, "shift", epoch) % min(cfg.context, len(stream) - cfg.context)
        begin = shift + _epoch_order(per_epoch, seed, epoch)[place] * cfg.context
        rows.append(stream[begin : begin + cfg.context + 1])
    return torch.stack(rows)


@lru_cache(maxsize=2)
def _epoch_order(count: int, seed: int, epoch: int) -> list[int]:
    return permutation(count, seed, "order", epoch)


def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: list[list[int]],
    cfg: PretrainConfig,
) -> Numbers:
    """Bits the model needs per UTF-8 byte of held-out documents, each read from an EOS on; nothing without any.

    Longer documents are read in windows of `context`, so that every token is foretold once.
    """
    starts = [[int(cast(int, tokenizer.eos_token_id)), *ids] for ids in documents]
    windows = [ids[i : i + cfg.context] for ids in starts for i in range(0, len(ids) - 1, cfg.context - 1)]
    nats = 0.0
    with evaluating(model):
        mine = world.share(range(len(windows)), lambda i: len(windows[i]))
        for part in micro_batches(mine, lambda i: (1, len(windows[i])), cfg.micro_batch_tokens):
            ids, mask = pad([windows[i] for i in part], model.device)
            with autocast(model.device, enabled=cfg.autocast_bf16):
                wanted = mask.bool()
                wanted[:, 0] = False
                nats += float(nll_at(model, padded(ids, mask), places_before(wanted), ids[wanted]))
    nats = world.sum({"nats": nats})["nats"]
    size = sum(len(decode(tokenizer, ids).encode()) for ids in documents)
    return {"pretrain/valid_bits_per_byte": nats / math.log(2) / size} if size else {}
