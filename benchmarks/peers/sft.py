"""SFT: completion tokens per CPU second, each side in the layout that suits it best; and the same loss step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.call import call, optimizer_of
from benchmarks.peers.rows import Row, Spent
from benchmarks.training_sft import LAYOUTS, build_model, demonstrations, ours_sft
from benchmarks.training_sft import Row as Dialogue
from inference.engine.models import load_policy
from training.core import sft
from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.data import Demonstration
from training.core.loop import make_optimizer

BATCH, LR, BAR = 16, 1e-3, 2.0
PEER_LAYOUTS = ("padded", "padded, sorted", "padding-free")


def rows(count: int, seed: int) -> Iterator[Row]:
    """Both sides see the same dialogues, make as many steps of 16, and start from the same folder."""
    dialogues = demonstrations(count, seed=seed)
    tokens = sum(len(one.completion) for one in dialogues)
    with tempfile.TemporaryDirectory() as name:
        folder = build_model(Path(name))
        ours, peer = {}, {}
        for layout, how in LAYOUTS.items():
            one = ours_sft(dialogues, folder, lr=LR, batch_size=BATCH, seed=seed, **how)
            ours[layout] = Spent(one.cpu_s, one.wall_s)
        for layout in PEER_LAYOUTS:
            found = _peer(dialogues, folder, layout, seed)
            peer[layout] = Spent(found["cpu_s"], found["wall_s"])
        yield from _speed(ours, peer, tokens)
        yield _same_loss(dialogues, folder, seed)


def _speed(ours: dict[str, Spent], peer: dict[str, Spent], tokens: int) -> Iterator[Row]:
    my_best, their_best = (min(side, key=lambda k: side[k].cpu_s) for side in (ours, peer))
    ratio = peer[their_best].cpu_s / ours[my_best].cpu_s
    yield Row(
        what="SFT, each in its best layout", ours=tokens / ours[my_best].cpu_s, peer=tokens / peer[their_best].cpu_s,
        unit="completion tokens / CPU s", ratio=ratio, wall=peer[their_best].wall_s / ours[my_best].wall_s,
        bar=f">= {BAR:g}x", holds=ratio >= BAR, note=f"ours {my_best}; TRL {their_best}",
    )  # fmt: skip
    for layout, one in ours.items():
        yield Row(what=f"  ours {layout}", ours=tokens / one.cpu_s, unit="completion tokens / CPU s")
    for layout, one in peer.items():
        yield Row(what=f"  TRL {layout}", peer=tokens / one.cpu_s, unit="completion tokens / CPU s")


def _same_loss(dialogues: Sequence[Dialogue], folder: Path, seed: int) -> Row:
    """Both unpacked, the same batches in the same order at a constant rate: the losses of all steps."""
    theirs = _peer(dialogues, folder, "padded, in order", seed)["losses"]
    mine = _in_order(dialogues, folder)
    apart = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
    return Row(
        what="SFT, last loss unpacked, the same batches", ours=mine[-1], peer=theirs[-1], unit="nats / token", bar="<= 1e-4",
        holds=apart <= 1e-4, note=f"largest difference in {len(mine)} steps {apart:.0e}",
    )  # fmt: skip


def _in_order(dialogues: Sequence[Dialogue], folder: Path) -> list[float]:
    model, _ = load_policy(folder)
    cfg = SFTConfig(lr=LR, batch_size=BATCH, packing=False)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    data = [
        Demonstration(str(n), one.prompt + one.completion, ((len(one.prompt), len(one.prompt) + len(one.completion)),), 1)
        for n, one in enumerate(dialogues)
    ]  # fmt: skip
    model.train()
    return [
        sft.update(model, data[at : at + BATCH], state, cfg, 1.0)["sft/loss"]
        for at in range(0, len(data), BATCH)
    ]


def _peer(dialogues: Sequence[Dialogue], folder: Path, layout: str, seed: int) -> dict[str, Any]:
    cfg = SFTConfig(lr=LR)
    job = {
        "model": str(folder), "layout": layout, "batch_size": BATCH, "seed": seed, "optimizer": optimizer_of(cfg),
        "rows": [
            {"input_ids": one.prompt + one.completion, "completion_mask": [0] * len(one.prompt) + [1] * len(one.completion)}
            for one in dialogues
        ],
    }  # fmt: skip
    return call("1.16", "trl_sft", job, threads=torch.get_num_threads())
