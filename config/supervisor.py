"""Keeps a handful of processes running: starts them, starts a dead one again, ends them all with nobody left over."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.services.system import is_alive, wait_until

LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0
# A run's child has 20 s for its last checkpoint, and its supervisor some for writing that down.
GRACE_SECONDS = 25.0
LOG_BYTES = 10 * 1024 * 1024
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Process:
    """One process to keep alive; `marker` is a word of its command line by which it is known again."""

    name: str
    command: Sequence[str]
    marker: str
    variables: Mapping[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 1.0
    due: float = 0.0


class Supervisor:
    """Processes of one installation. Not for use from several threads."""

    def __init__(self, *, folder: Path, logs: Path, register: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.logs = logs
        self.register = register
        self.say = say
        self.processes: list[Process] = []

    def end_leftovers(self) -> int:
        """End what a killed supervisor left running; the number of process groups that were ended."""
        try:
            known = json.loads(self.register.read_text())
        except (OSError, ValueError):
            return 0
        groups = [int(entry["pid"]) for entry in known if group_lives(int(entry["pid"]), entry["marker"])]
        end_groups(groups, grace=3.0)
        self.register.unlink(missing_ok=True)
        return len(groups)

    def start(self, process: Process) -> None:
        """Start `process` and look after it from now on."""
        self.processes.append(process)
        self._launch(process)

    def look(self) -> None:
        """Start again what has died, each after its own growing pause. Call it often; it never waits."""
        now = time.monotonic()
        for process in self.processes:
            if process.child is not None and (code := process.child.poll()) is not None:
                kill_group(process.child.pid)  # Its own children must not outlive it.
                if now - process.started > STEADY_AFTER:
                    process.pause = 1.0
                process.due = now + process.pause
                self.say(
                    f"  ! {process.name} {_how(code)}; it starts again in {process.pause:.0f} s "
                    f"({self.log_of(process.name)})"
                )
                process.pause = min(process.pause * 2, LONGEST_PAUSE)
                process.child = None
            elif process.child is None and now >= process.due:
                self._launch(process)

    def stop(self, *, grace: float = GRACE_SECONDS) -> None:
        """TERM, then QUIT (Celery's quick way out), then KILL for whole process groups."""
        groups = [process.child.pid for process in self.processes if process.child is not None]
        end_groups(groups, grace=grace, reap=self._reap)
        self.processes.clear()
        self.register.unlink(missing_ok=True)

    def log_of(self, name: str) -> Path:
        """Where the output of process `name` goes."""
        return self.logs / f"{name}.log"

    def _reap(self) -> None:
        for process in self.processes:
            if process.child is not None:
                process.child.poll()

    def _launch(self, process: Process) -> None:
        path = self.log_of(process.name)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            process.child = subprocess.Popen(  # noqa: S603 - a list, and every word is ours
                list(process.command),
                cwd=self.folder,
                env={**os.environ, **process.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the supervisor, which ends the others in order.
                preexec_fn=_die_with_parent,
            )
        process.started = time.monotonic()
        entries = [{"pid": p.child.pid, "marker": p.marker} for p in self.processes if p.child is not None]
        staging = self.register.with_suffix(".new")
        staging.write_text(json.dumps(entries))
        staging.replace(self.register)


def end_groups(groups: Sequence[int], *, grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """End process groups: TERM to each leader, QUIT after `grace` seconds, KILL to whole groups after 3 more."""

    def all_gone() -> bool:
        reap()
        return not any(_exists(pid) for pid in groups)

    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGQUIT, 3.0)):
        for pid in groups:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_until(all_gone, seconds=seconds, step=0.05):
            break
    for pid in groups:
        kill_group(pid)
    wait_until(all_gone, seconds=2.0, step=0.05)


def kill_group(leader: int) -> None:
    """Kill what is left of the process group that `leader` began."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def group_lives(leader: int, marker: str) -> bool:
    """Whether `leader` still is the process that was registered (process ids are used again)."""
    return is_alive(leader, running=marker)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return is_alive(pid, running="")


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


# Loaded before any fork; between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
