"""Watch or kill a forked process at its system calls that change files, by ptrace(2). Linux on x86-64 and ARM64."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
SYSGOOD, EXITKILL = 1, 0x100000
ENTRY = 1  # of struct ptrace_syscall_info.op: the call is about to be made
AT_FDCWD = -100
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Name of a call -> which argument tells the file: "fd" the first, "path" the first, "at" the first two, "open" the same
# and flags after them, "to" the path it gets.
CALLS: dict[str, dict[int, tuple[str, str]]] = {
    "x86_64": {
        1: ("write", "fd"), 18: ("pwrite64", "fd"), 20: ("writev", "fd"), 296: ("pwritev", "fd"), 326: ("copy_file_range", "out"),
        40: ("sendfile", "fd"), 74: ("fsync", "fd"), 75: ("fdatasync", "fd"), 76: ("truncate", "path"), 77: ("ftruncate", "fd"),
        82: ("rename", "path"), 83: ("mkdir", "path"), 84: ("rmdir", "path"), 87: ("unlink", "path"), 86: ("link", "path"),
        88: ("symlink", "path"), 257: ("openat", "open"), 258: ("mkdirat", "at"), 263: ("unlinkat", "at"), 264: ("renameat", "at"),
        265: ("linkat", "at"), 285: ("fallocate", "fd"), 316: ("renameat2", "at"),
    },
    "aarch64": {
        64: ("write", "fd"), 68: ("pwrite64", "fd"), 66: ("writev", "fd"), 70: ("pwritev", "fd"), 285: ("copy_file_range", "out"),
        71: ("sendfile", "fd"), 82: ("fsync", "fd"), 83: ("fdatasync", "fd"), 45: ("truncate", "path"), 46: ("ftruncate", "fd"),
        56: ("openat", "open"), 34: ("mkdirat", "at"), 35: ("unlinkat", "at"), 38: ("renameat", "at"), 37: ("linkat", "at"),
        47: ("fallocate", "fd"), 276: ("renameat2", "at"),
    },
}  # fmt: skip


class Change(NamedTuple):
    """A call that is about to change a file."""

    call: str
    path: Path


class Tracee:
    """Forks `run`, and from the moment that it calls `trace_me()` sees its calls that change files below `folder`."""

    def __init__(self, run: Callable[[], NoReturn], folder: Path) -> None:
        self.folder = folder.resolve()
        self.calls = CALLS[platform.machine()]
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.libc.ptrace.restype = ctypes.c_long
        self.pid = os.fork()
        if self.pid == 0:
            run()

    def follow(self, kill_at: int | None = None) -> tuple[list[Change], int]:
        """Its changes up to its end, or to the one with the number `kill_at` (from 0), which is never made; its exit code."""
        changes: list[Change] = []
        status = self._wait()
        if os.WIFSTOPPED(status):
            self._ptrace(SETOPTIONS, SYSGOOD | EXITKILL)
        while os.WIFSTOPPED(status):
            stopped = os.WSTOPSIG(status)
            change = self._change() if stopped == signal.SIGTRAP | 0x80 else None
            if change is not None:
                if len(changes) == kill_at:
                    os.kill(self.pid, signal.SIGKILL)
                    return changes, os.waitstatus_to_exitcode(self._wait())
                changes.append(change)
            passed_on = 0 if stopped in (signal.SIGSTOP, signal.SIGTRAP, signal.SIGTRAP | 0x80) else stopped
            self._ptrace(SYSCALL, passed_on)
            status = self._wait()
        return changes, os.waitstatus_to_exitcode(status)

    def _wait(self) -> int:
        return os.waitpid(self.pid, os.WUNTRACED)[1]

    def _ptrace(self, request: int, data: int) -> None:
        if self.libc.ptrace(request, self.pid, 0, data) == -1:
            raise OSError(ctypes.get_errno(), "ptrace")

    def _change(self) -> Change | None:
        info = ctypes.create_string_buffer(88)
        self.libc.ptrace(GET_SYSCALL_INFO, self.pid, len(info), ctypes.addressof(info))
        if info.raw[0] != ENTRY:
            return None
        number, *arguments = struct.unpack_from("<7Q", info.raw, 24)
        if number not in self.calls:
            return None
        call, where = self.calls[number]
        path = self._path(where, arguments)
        return (
            Change(call, path.relative_to(self.folder)) if path and path.is_relative_to(self.folder) else None
        )

    def _path(self, where: str, arguments: list[int]) -> Path | None:
        """The file that the call changes; None for a file that is only read."""
        if where == "fd":
            return self._open_file(arguments[0])
        if where == "out":
            return self._open_file(arguments[2])
        if where == "path":
            return self._open_file(AT_FDCWD) / self._text(arguments[0])
        if where == "open" and not arguments[2] & WRITING:
            return None
        return self._open_file(ctypes.c_int(arguments[0] & 0xFFFFFFFF).value) / self._text(arguments[1])

    def _open_file(self, descriptor: int) -> Path:
        link = "cwd" if descriptor == AT_FDCWD else f"fd/{descriptor}"
        return Path(f"/proc/{self.pid}/{link}").readlink()

    def _text(self, address: int) -> str:
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            found = b""
            while b"\0" not in found and (more := memory.read(256)):
                found += more
        return os.fsdecode(found.split(b"\0")[0])


def trace_me() -> None:
    """In the forked process: be watched from here on."""
    libc = ctypes.CDLL(None)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    libc.ptrace(TRACEME, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
