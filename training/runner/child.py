"""The child process: how it is started, what it may know, where its words go, and how it is ended."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.conf import settings

from training.runner.spread import processes, threads

LOG_NAME = "log.txt"
LOG_BYTES = 5 * 1024 * 1024
GRACE_SECONDS = 20.0  # between TERM and KILL: one step and a checkpoint

# Everything else stays behind: database addresses, keys and tokens are none of the trainer's business.
PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip
FIXED = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


class Child:
    """One `python -m training.core <kind> run.json`, or several of them under their launcher, in a session of its own.

    It holds the reading end of a pipe whose other end only this process has: when this process dies, however it
    dies, the child reads end-of-file and leaves with its whole process group.
    """

    def __init__(self, kind: str, run_json: Path) -> None:
        held, self._hold = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - a fixed list of words; nothing of a user is in it
                command(kind, run_json),
                cwd=settings.BASE_DIR,
                env=environment(held, processes(kind)),
                pass_fds=[held],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._hold)
            raise
        finally:
            os.close(held)
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(self.process.pid, resource.RLIMIT_CORE, (0, 0))
        assert self.process.stdout is not None  # noqa: S101 - narrows the type: PIPE was asked for
        self._log = threading.Thread(
            target=keep_log,
            args=(self.process.stdout, run_json.parent / LOG_NAME),
            name="child-log",
            daemon=True,
        )
        self._log.start()
        self._asked_at: float | None = None

    @property
    def pid(self) -> int:
        """Of the child, which is the id of its process group too."""
        return self.process.pid

    def ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def ask_to_stop(self) -> None:
        """TERM at the first call; KILL to the whole group at a later one, once the grace is over."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._signal(signal.SIGTERM)
        elif time.monotonic() - self._asked_at > GRACE_SECONDS:
            self._signal(signal.SIGKILL)

    def end(self) -> int:
        """Kill what is left of the group, wait, and close; the exit code (negative: the signal that ended it)."""
        self._signal(signal.SIGKILL)
        code = self.process.wait()
        self._log.join(timeout=5)
        with suppress(OSError):
            os.close(self._hold)
        return code

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def command(kind: str, run_json: Path) -> list[str]:
    """The trainer itself, or a launcher of as many as the run is spread over."""
    count = processes(kind)
    started = ["training.core"] if count == 1 else ["training.core.launch", str(count)]
    return [sys.executable, "-m", *started, kind, str(run_json)]


def environment(held: int, count: int = 1) -> dict[str, str]:
    """All that the child sees of this process's environment, where it is one of `count` processes."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, **FIXED, "OMP_NUM_THREADS": str(threads(count)), "PRECEPTOR_HELD_FD": str(held)}


def keep_log(stream: IO[bytes], path: Path) -> None:
    """Copy the child's words to `path`; beyond half of LOG_BYTES the older half lies in `<path>.1`, and so on."""
    size, target = 0, path.open("wb")
    try:
        while block := stream.read1(65_536):  # type: ignore[attr-defined]  # a BufferedReader, which has it
            if size + len(block) > LOG_BYTES // 2:
                target.close()
                path.replace(path.with_name(path.name + ".1"))
                size, target = 0, path.open("wb")
            target.write(block)
            target.flush()
            size += len(block)
    except OSError:
        # A full disk must not stop the training for its chatter: read on and throw away.
        while stream.read(65_536):
            pass
    finally:
        target.close()


def log_tail(folder: Path, size: int = 65_536) -> str:
    """The last `size` bytes of an attempt's log, as text."""
    parts = []
    for name in (LOG_NAME + ".1", LOG_NAME):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - size))
                parts.append(file.read(size))
    return b"".join(parts)[-size:].decode("utf-8", errors="replace").replace("\x00", "")
