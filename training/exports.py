"""Exports: a snapshot's canonical lines through one of the formats, streamed, always the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from common.errors import DomainError, FieldError, InvalidInput
from common.storage import StorageError, default_store
from labeling import formats
from labeling.models import Split
from training.datasets import read_lines
from training.models import Snapshot, SnapshotKind

Convert = Callable[[Any], Iterator[dict[str, Any]]]
FORMATS: dict[str, dict[str, Convert]] = {
    SnapshotKind.SFT: {"sft": formats.sft},
    SnapshotKind.RANKINGS: {"rankings": formats.rankings, "preference": formats.preference},
    SnapshotKind.PROMPTS: {"prompts": formats.prompts},
    SnapshotKind.MEASURING: {},  # What held-out labelers say leaves in no file that somebody might train on.
}
LINES_AT_ONCE = 500


class FormatNotAvailable(InvalidInput):
    """The snapshot's kind has no such format."""

    code = "format_not_available"


class SnapshotChanged(DomainError):
    """The stored rows are not those that were frozen."""

    code = "snapshot_changed"
    message = (
        "What the store has of this snapshot is not what was frozen. Ask whoever runs this site to restore the store "
        "from a backup, then export again."
    )


class Export:
    """One file to be downloaded: bytes in blocks, a name, and an ETag that changes only with the content."""

    def __init__(self, snapshot: Snapshot, format_name: str, split: str | None) -> None:
        known = FORMATS[snapshot.kind]
        if format_name not in known:
            ways = f"can be had as {' or '.join(known)}" if known else "is measured with and never exported"
            message = f"format: a snapshot of kind {snapshot.kind} {ways}."
            raise FormatNotAvailable(message, errors=[FieldError("format", FormatNotAvailable.code, message)])
        if split is not None and split not in Split.values:
            message = f"split: choose one of {', '.join(Split.values)}, or leave it out for all."
            raise InvalidInput(message, errors=[FieldError("split", "unknown_split", message)])
        self.snapshot, self.format_name, self.split = snapshot, format_name, split
        self.convert = known[format_name]

    @property
    def file_name(self) -> str:
        """For the download; of our words and hex digits only."""
        part = f"-{self.split}" if self.split else ""
        return f"preceptor-{self.format_name}-{self.snapshot.content_sha256[:12]}{part}.jsonl"

    @property
    def etag(self) -> str:
        """Strong: the same rows in the same format are the same bytes."""
        text = f"{self.snapshot.content_sha256}:{self.format_name}:{self.split or 'all'}:v{formats.VERSION}"
        return f'"{hashlib.sha256(text.encode()).hexdigest()}"'

    def blocks(self) -> Iterator[bytes]:
        """The file, some hundred lines at a time, so that memory stays flat however long it is.

        Every byte is checked at the call, before the first block: each row says whose content it is.
        Raises SnapshotChanged.
        """
        store = default_store()
        try:
            store.verify(self.snapshot.digest)
            folder = store.open(self.snapshot.digest)
        except (StorageError, OSError) as error:
            raise SnapshotChanged from error
        return _blocks(self._lines(folder))

    def _lines(self, folder: Path) -> Iterator[bytes]:
        mark = f"sha256:{self.snapshot.content_sha256}"
        for split in [self.split] if self.split else Split.values:
            for record in read_lines(folder / f"{split}.jsonl"):
                for row in self.convert(record):
                    yield orjson.dumps({**row, "snapshot": mark}) + b"\n"


def _blocks(lines: Iterator[bytes]) -> Iterator[bytes]:
    while block := b"".join(islice(lines, LINES_AT_ONCE)):
        yield block


def formats_of(kind: str) -> list[str]:
    """Names of the formats that a snapshot of this kind can be had in."""
    return list(FORMATS[kind])
