"""What can go wrong in a run, told to people: a stable code, a sentence, and what to do about it."""

from __future__ import annotations


class RunError(Exception):
    """A run that cannot go on. It ends up as error.json: `code` for programs, `message` and `remedy` for people."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


class PeerLost(Exception):
    """Another process of this run is gone, and the run with it. The one that failed has told why, if it could."""


class RunInterrupted(Exception):
    """SIGINT or SIGTERM was obeyed: a checkpoint is written, no result is."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.exit_code = 128 + signum
