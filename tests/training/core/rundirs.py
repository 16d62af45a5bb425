"""Run folders for the tests: a random small model, small data sets with something to learn, and a way to start a run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.engine.models import load_policy, random_policy, save_policy
from training.core.run_folder import Run, read_run

FRUIT = ("apple", "pear", "plum", "fig", "lemon", "grape")


def prompt(n: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Name {n % 4 + 1} of {FRUIT[n % 6]}, please."}]


def demonstrations(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"d{n}",
            "messages": [*prompt(n), {"role": "assistant", "content": f"{FRUIT[n % 6]} " * (n % 4 + 1)}],
        }
        for n in range(count)
    ]


def rankings(count: int, answers: int = 4) -> list[dict[str, Any]]:
    """More thanks are better; every third ranking has a tie."""
    rows = []
    for n in range(count):
        order = random.Random(n).sample(range(answers), answers)
        responses = [
            {"id": f"r{k}", "content": "thanks " * k + FRUIT[n % 6], "token_ids": None} for k in order
        ]
        ranks = {f"r{k}": answers - k for k in range(answers)}
        if n % 3 == 0:
            ranks["r0"] = ranks["r1"]
        rows.append(
            {
                "id": f"k{n}",
                "prompt": prompt(n),
                "responses": responses,
                "ranks": ranks,
                "labeler": "h:1",
                "weight": 1.0,
            }
        )
    return rows


def prompts(count: int) -> list[dict[str, Any]]:
    return [{"id": f"p{n}", "prompt": prompt(n)} for n in range(count)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_model(path: Path, **shape: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random_policy(path, **{"layers": 1, "width": 32, "heads": 2, "context": 96, **shape})
    return path


def moved_model(path: Path, folder: Path) -> Path:
    """A policy that has learned something else since: the same tokenizer, other weights."""
    model, tokenizer = load_policy(path)
    move(model, by=0.02)
    save_policy(model, tokenizer, folder)
    return folder


def with_dropout(base: Path, folder: Path) -> Path:
    """The same weights, whose config asks for much dropout."""
    model, tokenizer = load_policy(base)
    for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
        setattr(model.config, name, 0.5)
    save_policy(model, tokenizer, folder)
    return folder


def move(model: nn.Module, *, by: float, seed: int = 0) -> None:
    """Add noise of that deviation to every weight."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(by * torch.randn(weight.shape, generator=generator))


def make_run(
    folder: Path,
    kind: str,
    config: dict[str, Any],
    *,
    data: dict[str, list[dict[str, Any]]] | None = None,
    inputs: dict[str, Path] | None = None,
    **fields: Any,
) -> Path:
    """Write a run folder and return the path of its run.json. Inputs are links, as a supervisor makes them."""
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    for name, target in (inputs or {}).items():
        (folder / "inputs" / name).unlink(missing_ok=True)
        (folder / "inputs" / name).symlink_to(target)
    for name, rows in (data or {}).items():
        write_rows(folder / "inputs" / "dataset" / f"{name}.jsonl", rows)
    made = {name for name in ("dataset", "pretraining") if (folder / "inputs" / name).exists()}
    names = {*(inputs or {}), *made}
    run = {
        "schema": 1, "kind": kind, "run": "r1", "attempt": 1, "seed": 3, "config": config, "device": "cpu",
        "inputs": {name: f"inputs/{name}" for name in sorted(names)}, "sha256": {}, "parents": {"model": "v1"},
        "resume_from": None, **fields,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder / "run.json"


def load_run(folder: Path, kind: str, config: dict[str, Any], **options: Any) -> Run:
    return read_run(make_run(folder, kind, config, **options))
