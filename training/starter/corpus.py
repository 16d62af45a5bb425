"""The starter's pretraining corpus: dialogues of the demo's world, good and flawed, and a few hundred real ones.

Deterministic: the same seed and size give the same bytes. Format: training.core's pretrain rows, {"messages": [...]}.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from labeling.demo.answers import good_answer
from labeling.demo.prompts import make_prompt
from training.starter.flaws import flawed_answer

REAL_DIALOGUES = Path(__file__).parent / "dialogues"
"""Licences and sources of these files: dialogues/LICENCES.md."""

FLAWLESS, ONE_FLAW = 0.5, 0.38
"""Shares of answers without a flaw and with one; the rest have two."""

MOST_CHARACTERS = 600
"""Longer dialogues are cut to their first turns: the starter reads 256 tokens at once."""


class Turn(TypedDict):
    role: str
    content: str


def invented_dialogues(count: int, *, seed: int) -> Iterator[list[Turn]]:
    """`count` prompts of the demo's world with an answer of mixed quality each."""
    rng = random.Random(f"corpus:{seed}")  # noqa: S311 - a reproducible draw, no secret
    for _ in range(count):
        prompt, number, luck = make_prompt(rng), rng.randrange(1 << 30), rng.random()
        flaws = 0 if luck < FLAWLESS else 1 if luck < FLAWLESS + ONE_FLAW else 2
        answer = flawed_answer(prompt, number, flaws=flaws) if flaws else good_answer(prompt, number)
        yield [Turn(role="user", content=prompt), Turn(role="assistant", content=answer)]


def real_dialogues() -> Iterator[list[Turn]]:
    """The committed dialogues of real people, each up to the last answer that fits."""
    for path in sorted(REAL_DIALOGUES.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                if turns := _fitting(
                    [Turn(role=one["role"], content=one["content"]) for one in json.loads(line)["messages"]]
                ):
                    yield turns


def write_corpus(path: Path, *, invented: int, seed: int) -> int:
    """Write train.jsonl, real dialogues twice and everything shuffled. Returns the number of rows."""
    rows = [*invented_dialogues(invented, seed=seed), *real_dialogues(), *real_dialogues()]
    random.Random(f"shuffle:{seed}").shuffle(rows)  # noqa: S311 - a reproducible order, no secret
    with path.open("w", encoding="utf-8") as file:
        for number, turns in enumerate(rows):
            file.write(json.dumps({"id": f"{number}", "messages": turns}, ensure_ascii=False) + "\n")
    return len(rows)


def _fitting(turns: list[Turn]) -> list[Turn]:
    """The longest beginning that ends with an answer and is short enough; nothing when there is none."""
    best, length = 0, 0
    for place, turn in enumerate(turns):
        length += len(turn["content"].encode())
        if length > MOST_CHARACTERS:
            break
        if turn["role"] == "assistant":
            best = place + 1
    return turns[:best] if turns and turns[0]["role"] == "user" else []
