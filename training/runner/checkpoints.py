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


def take_checkpoint(run: Run, target: Path) -> Checkpoint | None:
    """Link the checkpoint to go on from to `target`; None to begin anew. A damaged one is passed over and logged."""
    if not run.checkpoint:
        return None
    for found in _candidates(run):
        try:
            # Hard links first, then the check: an attempt that still lives may prune its own files at any moment.
            shutil.copytree(found.path, target, copy_function=_link)
            if is_whole(target):
                return found
        except (OSError, shutil.Error) as error:
            log.warning(
                "checkpoint_gone", run=str(run.pk), checkpoint=found.label, error=type(error).__name__
            )
        else:
            log.warning("checkpoint_damaged", run=str(run.pk), checkpoint=found.label)
        shutil.rmtree(target, ignore_errors=True)
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


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _candidates(run: Run) -> Iterator[Checkpoint]:
    """The one that the row names, then all others from the newest down: whichever is whole leads to the same result."""
    folder = run_folder(run.pk)
    found = [
        Checkpoint(path, int(step[1]))
        for path in folder.glob("attempt-*/step-*")
        if (step := CHECKPOINT.fullmatch(path.name))
    ]
    yield from sorted(found, key=lambda one: (one.label == run.checkpoint, one.step), reverse=True)
