"""Accidents at exact places of a run: the n-th time that something happens after a row was written.

They are armed in a forked child, by wrapping what the product calls; the product itself knows nothing of them.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """`Fault("optimizer", 4, nth=2, when="after")`: when the second optimizer step after row 4 has been done, die."""

    event: str  # a name of places()
    rows: int  # step of the last row in metrics.jsonl; -1: none is written yet
    nth: int = 1
    when: str = "before"
    do: str = "kill"  # a name of ACTS


def places() -> dict[str, tuple[Any, str]]:
    """What can be waited for: the owner and the name of a function."""
    import torch

    from inference.engine.engine import TorchEngine
    from training.core import cards, checkpoint, loop
    from training.core.report import Reporter

    return {
        "load": (checkpoint, "load_file"),
        "backward": (torch.autograd, "backward"),
        "optimizer": (torch.optim.AdamW, "step"),
        "generate": (TorchEngine, "generate"),
        "row": (Reporter, "log"),
        "save": (loop, "save_checkpoint"),
        "tensors": (checkpoint, "save_file"),
        "publish": (cards, "publish_folder"),
        "rename": (os, "rename"),
        "replace": (os, "replace"),
        "fsync": (os, "fsync"),
    }


def arm(faults: Sequence[Fault]) -> None:
    if not faults:
        return
    from training.core.report import Reporter

    found = places()
    watch = Watch(faults)
    # The watch on rows lies inside the accidents of a row: after the row is written, its number counts.
    _wrap(Reporter, "__init__", after=lambda reporter, *_, **__: watch.reached(reporter.started_at_step))
    _wrap(Reporter, "log", after=lambda _, step, *__, **___: watch.reached(step))
    for name in {fault.event for fault in faults}:
        owner, attribute = found[name]
        _wrap(owner, attribute, before=watch.sees(name, "before"), after=watch.sees(name, "after"))


class Watch:
    """Counts what happens, and lets the accident happen when its time has come."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        self.rows = -1
        self.seen: Counter[Fault] = Counter()

    def reached(self, step: int) -> None:
        self.rows = step

    def sees(self, event: str, when: str) -> Callable[..., None]:
        def look(*arguments: Any, **_: Any) -> None:
            for fault in self.faults:
                if (fault.event, fault.when, fault.rows) == (event, when, self.rows):
                    self.seen[fault] += 1
                    if self.seen[fault] == fault.nth:
                        ACTS[fault.do](*arguments)

        return look


def _wrap(
    owner: Any,
    name: str,
    *,
    before: Callable[..., None] | None = None,
    after: Callable[..., None] | None = None,
) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if before:
            before(*arguments, **named)
        out = real(*arguments, **named)
        if after:
            after(*arguments, **named)
        return out

    setattr(owner, name, wrapped)


def _signal(number: int) -> Callable[..., None]:
    return lambda *_: os.kill(os.getpid(), number)


def _torn(_: Any, path: Path, *__: Any) -> None:
    """Half of the file has reached the disk."""
    os.truncate(path, path.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)


def _full(*_: Any) -> None:
    """From now on no file may grow beyond 400 bytes, room for error.json alone: EFBIG, as a full disk says ENOSPC."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _io_error(*_: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _rot(descriptor: int) -> None:
    """The disk has kept another byte than it was given, in the tensors beside the file that is being synced."""
    path = Path(f"/proc/self/fd/{descriptor}").readlink().with_name("tensors.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _spoil(optimizer: Any, *_: Any) -> None:
    """The first weights become NaN."""
    optimizer.param_groups[0]["params"][0].data.fill_(float("nan"))


ACTS: dict[str, Callable[..., None]] = {
    "kill": _signal(signal.SIGKILL),
    "term": _signal(signal.SIGTERM),
    "int": _signal(signal.SIGINT),
    "torn": _torn,
    "full": _full,
    "eio": _io_error,
    "rot": _rot,
    "spoil": _spoil,
}
