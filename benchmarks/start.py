"""First and second start of a clean clone, from `make up` to the printed address, and from the printed link to a ranking.

The first start installs into the clone from nothing (the machine's package caches are emptied for it), makes the
database and the demo project; the second finds all that. Nothing else should run on the machine meanwhile.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.prepare import chromium

ROOT = Path(__file__).resolve().parent.parent
FIRST_BAR, SECOND_BAR, RANKING_BAR = 300.0, 20.0, 10.0
BROWSER = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


def rows() -> Iterator[tuple[str, float, str, float]]:
    """(label, value, unit, bar) of each measure."""
    folder = Path(tempfile.mkdtemp(prefix="preceptor-bench-"))
    folder.chmod(0o711)
    try:
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
        with started(folder) as (seconds, _):
            yield "first start, from a clean clone", seconds, "s", FIRST_BAR
        with started(folder) as (seconds, printed):
            yield "second start", seconds, "s", SECOND_BAR
            yield "link to first ranking", seconds_to_ranking(printed), "s", RANKING_BAR
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started(folder: Path) -> Iterator[tuple[float, str]]:
    """The product, the seconds it took to its address, and what it printed; ended in order."""
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
        yield time.monotonic() - began, output.read_text(errors="replace")
    finally:
        os.killpg(child.pid, signal.SIGINT)
        child.wait(60)


def seconds_to_ranking(printed: str) -> float:
    """From opening the labeler's printed link, cold browser and server, to a painted task with its answers."""
    from playwright.sync_api import sync_playwright

    link = re.search(r"\(labeler\)\s+(\S+)", printed)
    if link is None:
        raise RuntimeError(f"no labeler's link was printed:\n{printed[-2000:]}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=BROWSER)
        page = browser.new_page()
        began = time.monotonic()
        page.goto(link[1])
        page.get_by_role("button").last.click()
        page.get_by_role("link", name=re.compile("Willowby")).first.click()
        page.get_by_role("link", name="Start labeling").first.click()
        page.get_by_role("article", name="Answer A").wait_for()
        seconds = time.monotonic() - began
        browser.close()
    return seconds


def python() -> str:
    """The interpreter outside any virtual environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
