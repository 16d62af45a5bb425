"""Running servers as a plain user: PostgreSQL refuses root, and no server of ours needs it."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any


class ServiceError(RuntimeError):
    """An embedded service cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that servers run as: ourselves, or `nobody` when started by root."""

    uid: int
    gid: int

    @classmethod
    def plain(cls) -> "Account":
        """Raises ServiceError if the user has no entry in the user database (PostgreSQL needs one)."""
        if os.geteuid() != 0:
            try:
                pwd.getpwuid(os.geteuid())
            except KeyError:
                text = f"user id {os.geteuid()} has no name on this machine, so PostgreSQL cannot run as it"
                raise ServiceError(
                    f"{text}. Set DATABASE_URL and REDIS_URL to servers of your own."
                ) from None
            return cls(os.geteuid(), os.getegid())
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    @property
    def is_other(self) -> bool:
        """True when servers run as somebody else than this process."""
        return self.uid != os.geteuid()

    def run(self, command: Sequence[str | Path], *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `command` as this user, with a small environment and no terminal."""
        other: Any = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}
        result: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 - a list, and every word is ours
            [str(word) for word in command],
            check=False,
            timeout=timeout,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"},
            **other,
        )
        return result

    def own_folder(self, path: Path) -> Path:
        """Make `path` a private folder of this user. Raises ServiceError if the user could not get there."""
        if not self.may_pass(path):
            closed = next(p for p in reversed(path.resolve().parents) if not p.stat().st_mode & 0o001)
            text = f"started by root, servers run as nobody, who may not enter {closed}"
            raise ServiceError(f"{text}. Set PRECEPTOR_HOME to a folder elsewhere, such as one in /var/lib.")
        path.mkdir(mode=0o700, exist_ok=True)
        if self.is_other:
            os.chown(path, self.uid, self.gid)
        path.chmod(0o700)
        return path

    def may_pass(self, path: Path) -> bool:
        """Whether this user can reach `path` (only the "others" bits are looked at)."""
        return not self.is_other or all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def executable_copy(account: Account, folder: Path, *, libraries: Path | None, into: Path) -> Path:
    """`folder` itself, or a copy of it (and of the `libraries` beside it) that `account` can reach.

    A virtual environment below a private home folder is closed to `nobody`; the copy is made once a version.
    """
    if account.may_pass(folder):
        return folder
    target = into / f"{folder.parent.name}-{int(folder.stat().st_mtime)}"
    copied = target / folder.parent.name / folder.name
    if not copied.is_dir():
        staging = into / f"staging-{os.getpid()}"
        shutil.copytree(folder, staging / folder.parent.name / folder.name, symlinks=True)
        if libraries is not None and libraries.is_dir():
            shutil.copytree(libraries, staging / libraries.name, symlinks=True)
        staging.chmod(0o755)
        staging.rename(target)
    return copied


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path`; a killed holder releases it."""
    with path.open("a") as file:
        flock(file, LOCK_EX)
        yield


def wait_until(is_true: Callable[[], bool], *, seconds: float, step: float = 0.02) -> bool:
    """Poll until `is_true()`, at most `seconds`."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True


def is_alive(pid: int, *, running: str) -> bool:
    """Whether process `pid` lives and its command line names `running` (ids are used again, zombies stay listed)."""
    process = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z" and running in (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return False
    result = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    line = result.stdout.strip()
    return bool(line) and not line.startswith("Z") and running in line
