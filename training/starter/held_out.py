"""How well the finished starter foretells dialogues that neither of its two stages learned from."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from inference.engine.models import load_policy
from training.core.config import PretrainConfig
from training.core.pretrain import bits_per_byte, document_ids, read_documents


class HeldOut(NamedTuple):
    """Bits per UTF-8 byte over `dialogues` of the `of` that pretraining held out; the second stage read the others."""

    bits_per_byte: float
    dialogues: int
    of: int


def measure(model: Path, corpus: Path, *, seed: int, read_later: int) -> HeldOut:
    """corpus: the folder that pretraining read; read_later: how many of its first lines the second stage learned from."""
    policy, tokenizer = load_policy(model)
    cfg = PretrainConfig()
    _, valid = read_documents(corpus, cfg.valid_share, seed)
    with (corpus / "train.jsonl").open(encoding="utf-8") as lines:
        known = {_key(json.loads(line)["messages"]) for line in islice(lines, read_later)}
    unread = [document for document in valid if _key(document) not in known]
    found = bits_per_byte(policy, tokenizer, [document_ids(tokenizer, one) for one in unread], cfg)
    return HeldOut(found["pretrain/valid_bits_per_byte"], len(unread), len(valid))


def _key(document: object) -> str:
    return json.dumps(document, sort_keys=True)
