"""A benchmark's sections side by side: each a process on a core of its own, two at a time where there are two cores.

Ratios are of CPU seconds of sides that take turns within a section, so a neighbour slows both alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue

from config.prepare import ROOT

LANES = 2
"""However many cores there are: what one measures shall not hang on it."""


def run_sections(module: str, sections: Sequence[Sequence[str]]) -> int:
    """Run `python -m module ARGUMENTS --lane CORE` for each, print what it prints when it ends; the sum of exit statuses."""
    cores: SimpleQueue[int] = SimpleQueue()
    lanes = _cores()[:LANES]
    for core in lanes:
        cores.put(core)

    def run(arguments: Sequence[str]) -> tuple[int, str]:
        core = cores.get()
        try:
            command = [sys.executable, "-m", module, *arguments, "--lane", str(core)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        finally:
            cores.put(core)
        return done.returncode, done.stdout

    status = 0
    with ThreadPoolExecutor(len(lanes)) as pool:
        for ended in as_completed([pool.submit(run, one) for one in sections]):
            code, printed = ended.result()
            print(printed, end="", flush=True)
            status += abs(code)
    return status


def stay_on(core: int) -> None:
    """Keep this process and its children on one core, where the system can."""
    if core in _cores() and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
