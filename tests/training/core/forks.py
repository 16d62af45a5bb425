"""`python -m training.core` for the price of a fork.

A server imports torch, transformers and all stages once, runs no operation, and forks a child for every run; the child
becomes `python -m training.core KIND run.json` by runpy. So its exit code, its signals and its death are those of a real
process, without the seconds that the imports take.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.training.core.faults import Fault, arm

ROOT = Path(__file__).parents[3]
SECONDS = 120.0  # a run of the tests takes one


class Forks:
    """The server, seen from the tests."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.core.forks", str(other.fileno())],
            cwd=ROOT, env=environment, pass_fds=[other.fileno()],
        )  # fmt: skip
        other.close()
        self._socket.settimeout(SECONDS)

    def start(self, kind: str, run_json: Path, *faults: Fault, held: int | None = None) -> int:
        """Start a run and return its process id. `held`: the pipe that the child leaves with."""
        return self._start(kind, run_json, [({}, faults)], [] if held is None else [held])[0]

    def start_ranks(self, kind: str, run_json: Path, *faults: Sequence[Fault]) -> list[int]:
        """Start a run on several processes, as torchrun would, each with its own accidents; their process ids by rank."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        size = str(len(faults))
        shared = {
            "WORLD_SIZE": size,
            "LOCAL_WORLD_SIZE": size,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        ranks = [({**shared, "RANK": str(r), "LOCAL_RANK": str(r)}, one) for r, one in enumerate(faults)]
        return self._start(kind, run_json, ranks, [])

    def _start(
        self,
        kind: str,
        run_json: Path,
        ranks: Sequence[tuple[dict[str, str], Sequence[Fault]]],
        held: list[int],
    ) -> list[int]:
        order = {
            "arguments": [kind, str(run_json)],
            "log": str(run_json.with_name("log.txt")),
            "ranks": ranks,
        }
        socket.send_fds(self._socket, [json.dumps(order).encode()], held)
        pids: list[int] = json.loads(self._socket.recv(1 << 10))
        return pids

    def wait(self, pid: int) -> int:
        """The exit code of the run that was started; negative: the signal that ended it."""
        return self.wait_all([pid])[0]

    def wait_all(self, pids: Sequence[int]) -> list[int]:
        """The exit codes of the processes that were started."""
        try:
            codes: list[int] = json.loads(self._socket.recv(1 << 10))
        except TimeoutError:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            raise
        return codes

    def run_ranks(self, kind: str, run_json: Path, *faults: Sequence[Fault]) -> list[int]:
        return self.wait_all(self.start_ranks(kind, run_json, *faults))

    def run(self, kind: str, run_json: Path, *faults: Fault) -> int:
        return self.wait(self.start(kind, run_json, *faults))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


def serve(descriptor: int) -> None:
    """Fork one child after another, until the other end is closed."""
    import_everything()
    with socket.socket(fileno=descriptor) as orders:
        while True:
            data, descriptors, _, _ = socket.recv_fds(orders, 1 << 16, 1)
            if not data:
                return
            order = json.loads(data)
            pids = []
            for environment, faults in order["ranks"]:
                if (pid := os.fork()) == 0:
                    orders.close()
                    os.environ |= environment
                    become(order["arguments"], Path(order["log"]), [Fault(*f) for f in faults], descriptors)
                pids.append(pid)
            for held in descriptors:
                os.close(held)
            orders.send(json.dumps(pids).encode())
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
            with contextlib.suppress(BrokenPipeError):  # Whoever asked is gone.
                orders.send(json.dumps(codes).encode())


def import_everything() -> None:
    import accelerate  # noqa: F401 - joins the ranks of a run, late
    import peft  # noqa: F401 - makes the adapters of a run that has some

    import training.core

    for module in pkgutil.iter_modules(training.core.__path__, "training.core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def become(
    arguments: Sequence[str], log: Path, faults: Sequence[Fault], held: Sequence[int] = ()
) -> NoReturn:
    """Turn this forked process into `python -m training.core *arguments`, in a session of its own."""
    code: Any = 70
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for descriptor in held:
            os.environ["PRECEPTOR_HELD_FD"] = str(descriptor)
        arm(faults)
        sys.argv = ["training.core", *arguments]
        try:
            runpy.run_module("training.core", run_name="__main__", alter_sys=True)
        except SystemExit as left:
            code = left.code
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
