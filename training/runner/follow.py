"""Follows what a child writes: new rows of metrics.jsonl, and the newest whole checkpoint."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

CHECKPOINT = re.compile(r"step-(\d+)")
MAX_LINE = 1 << 20


class Follower:
    """Reads the rows that came since the last look; a torn last line waits until it is whole."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"
        self.offset = 0

    def new_rows(self) -> tuple[list[dict[str, Any]], int]:
        """The rows after `offset`, and where they end. The caller sets `offset` once they are stored."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0  # The child began the file anew; rows that come twice are stored once.
                file.seek(self.offset)
                data = file.read(16 * MAX_LINE)
        except FileNotFoundError:
            return [], self.offset
        end = data.rfind(b"\n") + 1
        rows = [numbers(row) for line in data[:end].split(b"\n") if (row := parsed_row(line)) is not None]
        return rows, self.offset + end


def newest_checkpoint(folder: Path) -> str | None:
    """Name of the newest checkpoint with a manifest, such as "step-40"; a rename makes them whole or absent."""
    found = [
        (int(match[1]), path.name)
        for path in folder.glob("step-*")
        if (match := CHECKPOINT.fullmatch(path.name)) and (path / "MANIFEST.json").is_file()
    ]
    return max(found)[1] if found else None


def parsed_row(line: bytes) -> dict[str, Any] | None:
    """A row with a step; None for anything else, a torn line among it."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    is_row = isinstance(row, dict) and type(row.get("step")) is int and row["step"] >= 0
    return row if is_row else None


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """Only what is a number or null, under names of sane length."""
    return {
        str(name)[:80]: value
        for name, value in row.items()
        if value is None or isinstance(value, int | float)
    }
