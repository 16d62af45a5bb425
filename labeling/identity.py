"""What identifies a prompt: its digest, the split that follows from it, and ids that grow with time. Pure."""

from __future__ import annotations

import hashlib
import secrets
import time
import unicodedata
from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

import orjson

TRAIN_BELOW, VALID_BELOW = 0.90, 0.95  # above: held out
LONG_PREFIX = 200  # characters: two prompts that share as many are near-duplicates


class Message(TypedDict):
    """One turn of a dialogue: role user | assistant | system, and its exact text."""

    role: str
    content: str


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random, so that ids sort by creation."""
    number = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def digest_of(messages: Sequence[Message]) -> str:
    """SHA-256 (hex) of the messages as canonical JSON: [["role","content"], ...], UTF-8, no spaces, nothing normalised."""
    return hashlib.sha256(orjson.dumps([[m["role"], m["content"]] for m in messages])).hexdigest()


def prefix_digest_of(messages: Sequence[Message]) -> str:
    """What near-duplicates have in common: 128 bits of the SHA-256 of how the dialogue begins, case and spaces folded.

    "A long common prefix" (InstructGPT, 2203.02155, section 3.2) is here the first LONG_PREFIX characters of all turns but the
    system's; of a shorter dialogue all of it, but for its closing punctuation, so that "Write to Ann" and "Write to Anna" differ.
    A system prompt is left out, because a project's prompts share it by design. One hash, so one look in an index finds all.
    """
    text = "\n".join(turn["content"] for turn in messages if turn["role"] != "system")
    begins = _begins(text[: 2 * LONG_PREFIX])
    if len(begins) < LONG_PREFIX:
        begins = _begins(text)  # short, or mostly white space
    return hashlib.sha256((begins.rstrip(" .?!…。") or begins).encode()).hexdigest()[:32]


def _begins(text: str) -> str:
    return unicodedata.normalize("NFKC", " ".join(text.split())).casefold()[:LONG_PREFIX]


def split_of(owner_key: str, digest: str) -> str:
    """ "train" (90 %), "valid" (5 %) or "heldout" (5 %), by a hash of the owner, or of the prompt if it has none.

    It hangs on nothing else, so a prompt never changes its split, in no project and in no later import.
    """
    hashed = hashlib.sha256(f"preceptor-split:{owner_key or digest}".encode()).hexdigest()
    fraction = int(hashed[:8], 16) / 0x1_0000_0000
    if fraction < TRAIN_BELOW:
        return "train"
    return "valid" if fraction < VALID_BELOW else "heldout"


def folded(text: str) -> str:
    """The form in which two candidates count as the same text: NFC, white space folded. Never stored or shown."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def display_order(assignment_id: UUID, salt: bytes, candidate_ids: Sequence[UUID]) -> list[UUID]:
    """The order in which this assignment shows its candidates: by SHA-256 of (assignment, salt, candidate).

    Anybody with the project's salt can compute it again. The hand-out does the same in SQL.
    """

    def place(candidate: UUID) -> bytes:
        return hashlib.sha256(assignment_id.bytes + salt + candidate.bytes).digest()

    return sorted(candidate_ids, key=place)
