"""Real processes for tests: nothing of ours is replaced, only the data folder and the database are the test's."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child process that shall use this test's database and data folder."""
    from django.db import connection

    at = connection.settings_dict
    host = quote(str(at["HOST"]), safe="/")
    login = f"{at['USER']}:{quote(str(at.get('PASSWORD') or ''))}"
    port = f"&port={at['PORT']}" if at.get("PORT") else ""
    fresh = {
        "DATABASE_URL": f"postgresql://{login}@/{at['NAME']}?host={host}{port}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | fresh | changes


class Processes:
    """Starts children in sessions of their own and ends them, children's children included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], *, name: str, **changes: str) -> subprocess.Popen[bytes]:
        """Run `command` (a leading "python" is ours) with its output in `<folder>/<name>.log`."""
        words = [sys.executable if word == "python" else word for word in command]
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                words, cwd=ROOT, env=environment(**changes), stdout=log, stderr=log, start_new_session=True
            )
        self.children.append(child)
        return child

    def worker(self, queue: str, *, pool: str = "prefork") -> subprocess.Popen[bytes]:
        """A Celery worker of one queue, as `make up` starts it."""
        options = ["-Q", queue, f"--pool={pool}", "-c", "1", "--loglevel", "INFO", "-n", f"{queue}@test"]
        command = ["python", "-m", "celery", "-A", "config.celery", "worker", *options, "--without-gossip"]
        return self.start([*command, "--without-mingle"], name=queue, PRECEPTOR_ROLE="worker")

    def control_loop(self) -> subprocess.Popen[bytes]:
        """The loop that makes due what the database says is due."""
        return self.start(["python", "manage.py", "run_control_loop"], name="loop", PRECEPTOR_ROLE="worker")

    def web(self) -> str:
        """A web server on a free port; the address, once it is ready."""
        port = free_port()
        command = [
            "python",
            "-m",
            "uvicorn",
            "config.asgi:application",
            "--port",
            str(port),
            "--lifespan",
            "off",
        ]
        child = self.start(command, name="web", PORT=str(port))
        address = f"http://127.0.0.1:{port}"
        wait_for(address + "/readyz", child, log=self.folder / "web.log")
        return address

    def log(self, name: str) -> str:
        """What the process `name` has written so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for child in self.children:
            with suppress(ProcessLookupError):
                child.terminate()
        end = time.monotonic() + 5
        for child in self.children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, end - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, child: subprocess.Popen[bytes], *, log: Path, seconds: float = 60) -> None:
    """Wait until `address` answers 200; fails with the log when the process ends or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{address} is not ready:\n{log.read_text(errors='replace')[-3000:]}")
