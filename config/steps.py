"""Quiet progress in a terminal: one line a step with its seconds. Standard library only."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class StepFailed(Exception):
    """A step went wrong; the message is for people and says what to do."""


class Steps:
    """Prints `✓ name  1.2 s` as steps end; on a terminal the running one is shown too."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out
        self.is_terminal = out.isatty()
        self.began = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.monotonic()
        if self.is_terminal:
            self._write(f"  … {name}")
        try:
            yield
        except BaseException:
            self._end(f"  ✗ {name}")
            raise
        self._end(f"  ✓ {name:<28}{time.monotonic() - start:6.1f} s")

    def say(self, text: str = "") -> None:
        """A line of its own."""
        self._end(text)

    def run(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run `command` as a step and return what it printed. Raises StepFailed with its last lines."""
        with self.step(name):
            return run(name, command, folder=folder, environment=environment)

    def seconds(self) -> float:
        """Seconds since this was made."""
        return time.monotonic() - self.began

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()

    def _end(self, text: str) -> None:
        self._write(f"\r\x1b[2K{text}\n" if self.is_terminal else f"{text}\n")


def run(
    name: str, command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str] | None = None
) -> str:
    """Run `command` without a terminal and return what it printed. Raises StepFailed with its last lines."""
    words = [str(word) for word in command]
    try:
        result = subprocess.run(  # noqa: S603 - a list, and every word is ours
            words,
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise StepFailed(f"{name}: {words[0]} cannot be run: {error.strerror}.") from None
    if result.returncode != 0:
        tail = "\n".join(f"    {line}" for line in result.stdout.strip().splitlines()[-30:])
        raise StepFailed(f"{name} failed ({' '.join(words)[:300]}):\n{tail}")
    return result.stdout
