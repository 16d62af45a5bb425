"""First and second start of a clean clone: from `make up` to the printed address, everything included.

The first start installs into the clone from nothing (the machine's package caches are emptied for it), makes the
database and the demo project; the second finds all that. Nothing else should run on the machine meanwhile.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST_BAR, SECOND_BAR = 300.0, 20.0


def rows() -> Iterator[tuple[str, float, str, float]]:
    """(label, value, unit, bar) of each measure."""
    folder = Path(tempfile.mkdtemp(prefix="preceptor-bench-"))
    folder.chmod(0o711)
    try:
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
        yield "first start, from a clean clone", seconds_to_ready(folder), "s", FIRST_BAR
        yield "second start", seconds_to_ready(folder), "s", SECOND_BAR
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seconds_to_ready(folder: Path) -> float:
    """Start, wait for the address, end it in order."""
    unset = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "VIRTUAL_ENV", "PRECEPTOR_BEGAN"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {
        "PRECEPTOR_HOME": str(folder / "home"),
        "PORT": str(free_port()),
        "UV_CACHE_DIR": str(folder / "uv"),
        "PIP_CACHE_DIR": str(folder / "pip"),
        "npm_config_cache": str(folder / "npm"),
    }
    output = folder / "out.txt"
    began = time.monotonic()
    with output.open("wb") as out:
        child = subprocess.Popen(
            ["make", "up", f"PYTHON={python()}"], cwd=folder / "clone", env=environment, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        while "is ready at" not in output.read_text(errors="replace"):
            if child.poll() is not None or time.monotonic() - began > 900:
                raise RuntimeError(f"it did not start:\n{output.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - began
    finally:
        os.killpg(child.pid, signal.SIGINT)
        child.wait(60)


def python() -> str:
    """The interpreter outside any virtual environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
