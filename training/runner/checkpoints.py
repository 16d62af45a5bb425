"""Which checkpoint a new attempt goes on from: the one the row names if it is whole, else the newest whole one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from training.core.run_folder import manifest_fault
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


def take_checkpoint(attempts: Path, named: str, target: Path) -> Checkpoint | None:
    """Link a checkpoint of the run's folder `attempts` to `target`: the one that the row names ("attempt-2/step-40"), else
    the newest whole one. A damaged one is passed over and logged with what is wrong. None: begin anew."""
    if not named:
        return None
    for found in _candidates(attempts, named):
        # Hard links first, then the check: an attempt that still lives may prune its own files at any moment.
        try:
            shutil.copytree(found.path, target, copy_function=_link)
            fault = manifest_fault(target)
        except (OSError, shutil.Error) as error:
            fault = f"gone ({type(error).__name__})"
        if fault is None:
            return found
        log.warning("checkpoint_damaged", run=attempts.name, checkpoint=found.label, fault=fault)
        shutil.rmtree(target, ignore_errors=True)
    log.warning("no_checkpoint_left", run=attempts.name, named=named)
    return None


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _candidates(attempts: Path, named: str) -> Iterator[Checkpoint]:
    """The one that the row names, then all others from the newest down: whichever is whole leads to the same result."""
    found = [
        Checkpoint(path, int(step[1]))
        for path in attempts.glob("attempt-*/step-*")
        if (step := CHECKPOINT.fullmatch(path.name))
    ]
    yield from sorted(found, key=lambda one: (one.label == named, one.step), reverse=True)
