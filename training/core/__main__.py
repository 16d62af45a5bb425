"""Run one training stage by hand or under a supervisor.

    python -m training.core pretrain|sft|reward|ppo|rloo|dpo|best_of_n|score RUNDIR/run.json

Leaves 0 with result.json written, 1 with error.json, 130 or 143 after SIGINT or SIGTERM with a checkpoint of the last
step that was finished. A model stays only where result.json vouches for it.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from training.core.config import ONE_PROCESS
from training.core.errors import PeerLost, RunError, RunInterrupted
from training.core.machine import rank, ranks
from training.core.run_folder import (
    Run,
    StopFlag,
    clear_outcome,
    clear_unfinished,
    leave_with_parent,
    read_run,
    write_json,
    write_json_once,
)

STAGES = {
    "pretrain": ("pretrain", "train_pretrain"),
    "sft": ("sft", "train_sft"),
    "reward": ("reward", "train_reward"),
    "ppo": ("ppo", "train_ppo"),
    "rloo": ("rloo", "train_rloo"),
    "dpo": ("dpo", "train_dpo"),
    "best_of_n": ("best_of_n", "best_of_n"),
    "score": ("score", "score_completions"),
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in STAGES:
        print(__doc__, file=sys.stderr)
        return 2
    if not Path(arguments[1]).is_file():
        print(f"There is no file {arguments[1]}.", file=sys.stderr)
        return 2
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # Inputs lie in the run folder; nothing is ever fetched.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # A supervisor keeps what is printed; no bars.
    leave_with_parent()
    path = Path(arguments[1]).resolve()
    stop = StopFlag()
    stop.install()
    run: Run | None = None
    try:
        run = read_run(path, arguments[0], stop)
        return _carry_out(run, Path(arguments[1]).parent)
    except Exception as wrong:  # noqa: BLE001 - the edge of the program: whatever it was, the folder has to tell
        # Where nothing has begun, what an earlier run made stays. On a full disk this makes the room that error.json needs.
        if run is not None and rank() == 0:
            clear_unfinished(path.parent)
        return _failed(path.parent, wrong)


def _carry_out(run: Run, shown: Path) -> int:
    """The exit code of a run that ended whole, was stopped or lost a rank. shown: its folder as it was typed."""
    folder = run.folder
    try:
        if rank() == 0:
            clear_outcome(folder)
        found = _train(run)
        if rank() == 0:
            run.stop.obey()
            write_json(folder / "result.json", {**found, **run.notes})
            _say_where(shown, found)
    except RunInterrupted as stopped:
        if rank() == 0:
            clear_unfinished(folder)
        return stopped.exit_code
    except PeerLost as lost:
        if rank() == 0:
            clear_unfinished(folder)
        print(f"Rank {rank()} leaves, since another one is gone: {lost}", file=sys.stderr)
        return 1
    return 0


def _train(run: Run) -> dict[str, Any]:
    # Torch takes seconds to import: what is wrong in run.json is told before that.
    if run.kind in ONE_PROCESS and ranks() > 1:
        raise RunError("bad_run", f"{run.kind} runs in one process.", "Start it without torchrun.")
    module, name = STAGES[run.kind]
    train: Callable[[Run], dict[str, Any]] = getattr(import_module(f"training.core.{module}"), name)
    found = train(run)
    if ranks() > 1:
        from training.core.parallel import world

        world.leave()
    return found


def _say_where(folder: Path, found: dict[str, Any]) -> None:
    """The last line, in a terminal and in a log: what came out, and where it lies."""
    made = found.get("model") or found.get("dataset")
    what = f"{folder / made}; numbers in " if made else ""
    with suppress(OSError):
        print(f"Done: {what}{folder / 'result.json'}", file=sys.stderr)


def _failed(folder: Path, wrong: Exception) -> int:
    error = as_run_error(wrong)
    told = {"code": error.code, "message": error.message, "remedy": error.remedy}
    try:
        if ranks() == 1:
            write_json(folder / "error.json", told)
        else:  # Before it goes, and the others with it.
            write_json_once(folder / "error.json", told, rank())
    except OSError:
        print(f"error.json could not be written: {error.code}: {error.message}", file=sys.stderr)
    with suppress(OSError):  # Standard error may lie on the same full disk.
        if isinstance(wrong, RunError):
            print(f"{error.code}: {error.message}\n{error.remedy}", file=sys.stderr)
        else:
            traceback.print_exception(wrong)
    return 1


def as_run_error(wrong: Exception) -> RunError:
    """The stable code of any failure. safetensors and torch tell some of theirs in words only."""
    text = str(wrong)
    if isinstance(wrong, RunError):
        return wrong
    full = isinstance(wrong, OSError) and wrong.errno in _FULL
    if full or (
        type(wrong).__name__ == "SafetensorError" and any(f"os error {number})" in text for number in _FULL)
    ):
        return RunError(
            "disk_full",
            f"Nothing more can be written: {text}",
            "Free space, then resume from the last checkpoint.",
        )
    if (
        isinstance(wrong, MemoryError)
        or type(wrong).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in text
    ):
        return RunError("out_of_memory", f"Out of memory: {text}", "Halve micro_batch_tokens and resume.")
    if isinstance(wrong, OSError):
        return RunError("io_error", text, "Look at the disk and the folder's permissions, then resume.")
    return RunError(
        "crashed",
        f"{type(wrong).__name__}: {text}",
        "This is a fault of the program: report it with the run folder.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
