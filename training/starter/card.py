"""The starter's model card: what it is, what it learned from, what it says when asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.starter.held_out import HeldOut


def card(pretrain: Path, dialogues: Path, rows: int, held: HeldOut, samples: list[tuple[str, str]]) -> str:
    """The card of the two finished runs, as Markdown with the hub's front matter."""
    done, then = _json(pretrain / "result.json"), _json(dialogues / "result.json")
    config = _json(pretrain / "run.json")["config"]
    tokens = done["steps"] * config["batch_size"] * config["context"]
    bits = next((value for name, value in done["metrics"].items() if "bits_per_byte" in name), None)
    return f"""---
library_name: transformers
license: apache-2.0
language: [en, zh]
tags: [preceptor, pretrain]
---

# Starter GPT

A toy language model, so that Preceptor works with no network and no argument. It knows one invented small town and answers a
few kinds of requests from there: stories, thank-you notes, invitations, recipes, advice, directions, small facts, poems, in English
and a little Chinese. **It is a toy**: it knows nothing about the world, and half of what it learned from is flawed on purpose, so
that people have something to rank and training has something to improve. Do not use it for anything real.

## Made with

    python -m training.starter --work /tmp/starter --publish inference/starter

{config["layers"]} layers, width {config["width"]}, {config["heads"]} heads, vocabulary at most {config["vocab_size"]} (byte-level BPE), context {config["context"]} tokens, stored in bfloat16.
Pretraining: {done["steps"]:,} steps of {config["batch_size"]} x {config["context"]} tokens, {tokens:,} tokens in {done["seconds"] / 60:.0f} minutes on two busy cores
({done["versions"]["threads"]} threads, torch {done["versions"]["torch"]}). Then {then["steps"]:,} steps on part of the same dialogues, one at a time, loss on the answers, {then["seconds"] / 60:.0f} minutes.

{held_out(held, bits)}

## Learned from

{rows:,} dialogues. All but a few hundred are put together by `training/starter/corpus.py` from sentences written for this project
(Apache-2.0, as the project). About half of the answers are flawless; the others swap a name, drift to another subject, stop
in the middle, lose their end, repeat themselves, answer another question, are curt, or use the wrong language.
The rest are real: 399 ordering dialogues of Taskmaster-4 (TM-4-2024, Google LLC, CC-BY-4.0,
github.com/google-research-datasets/Taskmaster) and 46 seed dialogues of Open-Assistant (LAION-AI, Apache-2.0,
github.com/LAION-AI/Open-Assistant), beginnings only. `training/starter/dialogues/LICENCES.md` has the details.

## {len(samples)} samples, not picked

Temperature 1, seed 0, prompts as they come.
Whether two of its answers can be told apart, and who judged that, stands in `docs/develop/starter.md` of the project.

{_quoted(samples)}
"""


def held_out(held: HeldOut, before: float | None) -> str:
    """The paragraph on held-out bits; `before` is what pretraining measured at its end."""
    first = "not measured" if before is None else f"{before:.3f}"
    return f"""**Held-out bits per byte: {held.bits_per_byte:.3f}**, of these weights, on {held.dialogues} dialogues that neither stage learned from. At the end of pretraining
it was {first}, on all {held.of} that it left out; the second stage learns answers alone, and so forgets how to foretell questions.
Held-out dialogues share their templates with the training text, so this says little about other text."""


def _quoted(samples: list[tuple[str, str]]) -> str:
    return "\n".join(
        f"**{prompt}**\n\n> " + answer.strip().replace("\n", "\n> ") + "\n" for prompt, answer in samples
    )


def _json(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
