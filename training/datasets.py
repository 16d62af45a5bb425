"""From canonical records to the rows that `training.core` reads: pure functions, one for each stage."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from inference.models import Completion
from labeling.identity import digest_of

Record = Mapping[str, Any]
Row = dict[str, Any]


def read_lines(path: Path) -> Iterator[Row]:
    """The records of a JSONL file, one after the other; nothing where the file is missing."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield orjson.loads(line)


def sft_row(record: Record) -> Row:
    """{"id", "messages"}: the demonstration is the last assistant turn."""
    return {"id": record["id"], "messages": record["messages"]}


def ppo_row(record: Record) -> Row:
    """{"id", "prompt"}: the id is the prompt's digest, which sampling seeds hang on."""
    return {"id": digest_of(record["prompt"]), "prompt": record["prompt"]}


def reward_row(record: Record, *, same_tokenizer: Collection[str]) -> Row:
    """A ranking with the token ids that were sampled, where the writer's tokenizer is that of the trained model.

    A text that was shown once counts once: its copies are left out, as in the exported pairs, and counted in "copies".
    """
    copies = set(record["forced"])
    responses = [
        {
            "id": one["id"],
            "content": one["content"],
            "token_ids": one.get("token_ids") if one["version"] in same_tokenizer else None,
            "version": one["version"],
        }
        for one in record["responses"]
        if one["id"] not in copies
    ]
    return {
        "id": record["id"],
        "prompt": record["prompt"],
        "responses": responses,
        "ranks": {one["id"]: record["ranks"][one["id"]] for one in responses},
        "copies": len(copies),
        "prompt_id": record.get("prompt_id"),
        "labeler": record["labeler"],
        "confidence": record.get("confidence"),
        "ratings": {
            name: one["overall"] for name, one in record.get("scores", {}).items() if "overall" in one
        },
        "weight": record.get("weight", 1.0),
    }


def score_row(completion: Completion) -> Row:
    """A completion to be scored, with the log-probabilities of the model that wrote it."""
    return {
        "id": str(completion.pk),
        "prompt": completion.request.messages if completion.request else [],
        "completion_ids": completion.token_ids,
        "text": completion.text,
        "logprobs": completion.logprobs,
        "finish_reason": completion.finish_reason or None,
    }
