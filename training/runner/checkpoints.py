"""Which checkpoint a new attempt goes on from: the one the row names if it is whole, else the newest whole one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from training.core.run_folder import sha256_of
from training.models import Run
from training.places import run_folder
from training.runner.follow import CHECKPOINT

log = structlog.get_logger("training.runner")


class Checkpoint(NamedTuple):
    """A whole checkpoint of an earlier attempt."""

    path: Path
    step: int

    @property
    def label(self) -> str:
        """As the run's row names it: "attempt-2/step-40"."""
        return f"{self.path.parent.name}/{self.path.name}"


def good_checkpoint(run: Run) -> Checkpoint | None:
    """The checkpoint to go on from; None to begin anew. A damaged one is passed over and logged."""
    if not run.checkpoint:
        return None
    for found in _candidates(run):
        if is_whole(found.path):
            return found
        log.warning("checkpoint_damaged", run=str(run.pk), checkpoint=found.label)
    return None


def is_whole(path: Path) -> bool:
    """Whether every file is what MANIFEST.json says."""
    try:
        files = json.loads((path / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
        return bool(files) and all(
            sha256_of(path / Path(name).name) == entry["sha256"] for name, entry in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def link_checkpoint(found: Checkpoint, target: Path) -> None:
    """Hard links: the files stay even if the attempt that made them still lives and prunes its own."""
    shutil.copytree(found.path, target, copy_function=_link)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _candidates(run: Run) -> Iterator[Checkpoint]:
    """The named one first, then older ones; a newer one that the row does not know is of a fenced attempt."""
    attempt, _, name = run.checkpoint.partition("/")
    match = CHECKPOINT.fullmatch(name)
    limit = int(match[1]) if match else 0
    folder = run_folder(run.pk)
    found = [
        Checkpoint(path, int(step[1]))
        for path in folder.glob("attempt-*/step-*")
        if (step := CHECKPOINT.fullmatch(path.name)) and int(step[1]) <= limit
    ]
    named = folder / attempt / name
    yield from sorted(found, key=lambda one: (one.path == named, one.step), reverse=True)
