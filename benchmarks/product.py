"""The whole product on a data folder of its own, started and stopped as `make up` does it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 240


@dataclass(frozen=True)
class Product:
    """A running product: its address, its data folder and the environment its commands need."""

    address: str
    home: Path
    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(
                f"manage.py {arguments[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            )
        return done.stdout


@contextmanager
def running_product(*, keep: Path | None = None) -> Iterator[Product]:
    """Start everything on a fresh data folder, without the demo projects; stop and remove it at the end.

    `keep` names the folder and leaves it there, for looking into.
    """
    home = keep or Path(tempfile.mkdtemp(prefix="preceptor-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)  # The database's user passes through.
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    dropped = ("DATABASE_URL", "REDIS_URL", "PRECEPTOR_STORE_URL", "PRECEPTOR_MODELS_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {
        "PRECEPTOR_DEMO": "0",
        "OMP_WAIT_POLICY": "PASSIVE",  # Waiting threads sleep: half the speed is lost to spinning on a busy machine.
        "PRECEPTOR_HOME": str(home),
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "PRECEPTOR_PUBLIC_URL": address,
    }
    log = home / "up.log"
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "config.verbs", "up"], cwd=ROOT, env=environment, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_ready(child, address, log)
        yield Product(address, home, environment)
    finally:
        _stop(child)
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(child: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if child.poll() is not None:
            break
        with (
            suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.3)
    raise RuntimeError(f"the product did not start; its output ends with:\n{log.read_text()[-4000:]}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask `make up` to end; it ends its own processes. Kill what is left of it after a minute."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
