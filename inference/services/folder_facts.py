"""What a model folder says about itself, read without torch: number of weights, context, tokenizer, card."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

MAX_HEADER_BYTES = 100 * 1024 * 1024  # the safetensors library's own limit
MAX_CARD_CHARACTERS = 65_536
TOKENIZER_FILES = (
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
# What Hugging Face configs call the longest sequence, GPT-2's name first.
CONTEXT_NAMES = ("n_positions", "max_position_embeddings", "n_ctx", "max_sequence_length", "seq_length")


class FolderFacts(NamedTuple):
    """Facts of one version's folder."""

    parameters: int
    context_tokens: int
    tokenizer_digest: str
    card: str


def read_facts(folder: Path) -> FolderFacts:
    """Facts of a folder that `check_version_folder` let through. Raises ValueError for damaged weights."""
    return FolderFacts(
        parameters=sum(_weights_in(file) for file in sorted(folder.glob("*.safetensors"))),
        context_tokens=_context(json.loads((folder / "config.json").read_text(encoding="utf-8"))),
        tokenizer_digest=_tokenizer_digest(folder),
        card=_card(folder),
    )


def _weights_in(file: Path) -> int:
    """Number of weights in a safetensors file: its header is 8 bytes of length, then JSON with every shape."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= MAX_HEADER_BYTES:
            raise ValueError(
                f"{file.name}: not a safetensors file; save the model again with save_pretrained."
            )
        try:
            header = json.loads(stream.read(length))
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            return sum(math.prod(tensor["shape"]) for tensor in tensors)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file.name}: its header is damaged; copy or save the model again.") from error


def _context(config: dict[str, Any]) -> int:
    for name in CONTEXT_NAMES:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
            return value
    return 0


def _tokenizer_digest(folder: Path) -> str:
    """SHA-256 over names and contents of the tokenizer's files: equal digests read text alike."""
    digest = hashlib.sha256()
    for name in TOKENIZER_FILES:
        file = folder / name
        if file.is_file():
            digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _card(folder: Path) -> str:
    file = folder / "README.md"
    if not file.is_file():
        return ""
    return file.read_text(encoding="utf-8", errors="replace")[:MAX_CARD_CHARACTERS].replace("\x00", "")
