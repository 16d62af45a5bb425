"""Export formats: pure functions from canonical records to the rows that trainers read. Version 1.

Every row carries `id`, `group_id` and `split`; extra columns do not disturb the trainers. Field names are those of
TRL's documentation (docs/source/dataset_formats.md) and of `datasets`: one JSON object a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labeling.pairs import pairs_of
from labeling.records import CanonicalDemonstration, CanonicalPrompt, CanonicalRanking

VERSION = 1
Row = dict[str, Any]


def rankings(record: CanonicalRanking) -> Iterator[Row]:
    """The canonical record itself, which loses nothing: the K-wise reward loss needs this one."""
    yield dict(record)


def preference(record: CanonicalRanking) -> Iterator[Row]:
    """TRL preference, conversational, explicit prompt: one row for each strict pair; ties give none.

    `margin` is the number of tiers between the two (TRL's reward trainer and OpenRLHF read it). The rows of one
    ranking follow each other and share `ranking_id` and `weight`, what the ranking counts; `group_id` is shared by all
    rankings of the same task.
    """
    content = {response["id"]: response["content"] for response in record["responses"]}
    for number, pair in enumerate(pairs_of(record)):
        yield {
            "id": f"{record['id']}:{number}",
            "ranking_id": record["id"],
            "group_id": record["group_id"],
            "split": record["split"],
            "prompt": record["prompt"],
            "chosen": [{"role": "assistant", "content": content[pair.better]}],
            "rejected": [{"role": "assistant", "content": content[pair.worse]}],
            "margin": float(pair.gap),
            "weight": record["weight"],
            "labeler": record["labeler"],
            "is_synthetic": record["is_synthetic"],
        }


def sft(record: CanonicalDemonstration) -> Iterator[Row]:
    """SFT messages: TRL language modelling, conversational; also OpenAI's chat format."""
    yield {
        "id": record["id"],
        "group_id": record["group_id"],
        "split": record["split"],
        "messages": record["messages"],
        "labeler": record["labeler"],
        "is_synthetic": record["is_synthetic"],
    }


def prompts(record: CanonicalPrompt) -> Iterator[Row]:
    """TRL prompt-only, conversational: PPO, RLOO and GRPO prompts."""
    yield {"id": record["id"], "group_id": record["id"], "split": record["split"], "prompt": record["prompt"]}
