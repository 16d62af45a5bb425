"""What a run tells while it goes: metrics.jsonl, one row a step, and samples.jsonl."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from training.core.metrics import METRICS


class Reporter:
    """Appends rows to metrics.jsonl and samples.jsonl. A resumed run first drops the rows after its checkpoint.

    silent: writes nothing; of several processes of a run one alone does.
    """

    def __init__(
        self, folder: Path, total_steps: int, resumed_at: int | None = None, *, silent: bool = False
    ) -> None:
        self.silent = silent
        self.total_steps = total_steps
        self.started_at_step = resumed_at or 0
        self.started = time.monotonic()
        self.metrics = folder / "metrics.jsonl"
        self.samples = folder / "samples.jsonl"
        for path in () if silent else (self.metrics, self.samples):
            _keep_rows(path, -1 if resumed_at is None else resumed_at)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One row. Numbers that are not finite become null, since JSON has no word for them."""
        if unknown := sorted(set(numbers) - set(METRICS)):
            raise KeyError(f"metrics without an explanation in METRICS: {unknown}")
        pace = (time.monotonic() - self.started) / max(step - self.started_at_step, 1)
        row: dict[str, Any] = {"step": step, "time": round(time.time(), 3)}
        row |= {
            "progress": min(step / self.total_steps, 1.0),
            "eta_s": round(pace * max(self.total_steps - step, 0), 1),
        }
        row |= {name: (value if math.isfinite(value) else None) for name, value in numbers.items()}
        self._append(self.metrics, row)
        if not self.silent:
            show(step, self.total_steps, row)

    def sample(self, step: int, prompt: list[dict[str, str]], text: str, **numbers: float) -> None:
        """One answer to a fixed prompt, with its reward and KL where they are known."""
        self._append(self.samples, {"step": step, "prompt": prompt, "text": text, **numbers})

    def sync(self) -> None:
        """Force what was written to disk; a checkpoint must not outlive the rows before it."""
        for path in () if self.silent else (self.metrics, self.samples):
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())

    def _append(self, path: Path, row: Mapping[str, Any]) -> None:
        if self.silent:
            return
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


KEY_NUMBERS = ("score", "accuracy", "loss")


def show(step: int, total_steps: int, row: Mapping[str, Any]) -> None:
    """The step, its key number, the pace and the time left, in the last line of the terminal where one watches; nothing in a log."""
    if not sys.stderr.isatty():
        return
    key = next((n for word in KEY_NUMBERS for n in row if n.partition("/")[2] == word), None)
    number = "" if key is None or row[key] is None else f"  {key} {row[key]:.4g}"
    end = "\n" if step >= total_steps else ""
    pace = row.get("perf/tokens_per_s")
    speed = f"  {pace:.0f} tokens/s" if pace else ""
    left = f"  {timedelta(seconds=round(row['eta_s']))} left" if step < total_steps else ""
    sys.stderr.write(f"\r\x1b[Kstep {step} of {total_steps}{number}{speed}{left}{end}")
    sys.stderr.flush()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a metrics or samples file; a torn last line is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines if line.strip()]


def _keep_rows(path: Path, last_step: int) -> None:
    kept = [row for row in read_rows(path) if row["step"] <= last_step]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8"
    )
    temporary.replace(path)
