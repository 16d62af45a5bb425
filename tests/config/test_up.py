"""`make up` as people and crashes treat it: real processes, a data folder of the test's own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.services.embedded import stop as stop_services
from config.services.paths import Home
from tests.processes import ROOT, free_port

pytestmark = pytest.mark.slow
UP = [sys.executable, "-m", "config.verbs", "up"]


class Installation:
    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.port = free_port()
        self.output = folder.parent / f"{folder.name}.out"
        unset = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "HOST")
        kept = {
            name: value for name, value in os.environ.items() if name not in unset and "PYTEST" not in name
        }
        self.environment = kept | {
            "PRECEPTOR_HOME": str(folder),
            "PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
        }

    def up(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as out:
            child = subprocess.Popen(
                UP, cwd=ROOT, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        until(lambda: "is ready at" in self.said() or child.poll() is not None, seconds=240)
        assert child.poll() is None, self.said()
        return child

    def verb(self, name: str) -> str:
        command = [sys.executable, "-m", "config.verbs", name]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True).stdout

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def groups(self) -> dict[str, int]:
        """Name of the program and process id of what the supervisor looks after."""
        register = self.home.run / "processes.json"
        return {entry["marker"]: entry["pid"] for entry in json.loads(register.read_text())}

    def processes(self) -> list[int]:
        """Every living process whose environment names this data folder, and the embedded services."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and str(self.home.path).encode() in words and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        return found


@pytest.fixture
def installation() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="preceptor-up-"))
    folder.chmod(0o711)  # Started by root, the database runs as nobody, who must come through.
    made = Installation(folder / "home")
    yield made
    for pid in made.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    stop_services(made.home)
    shutil.rmtree(folder)


def until(is_true: Callable[[], object], *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_true() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(is_true())


def test_it_serves_mends_itself_and_leaves_nobody_behind(installation):
    supervisor = installation.up()
    assert installation.is_ready()
    assert {"config.asgi", "control@preceptor", "sample@preceptor", "train@preceptor"} <= set(
        installation.groups()
    )
    assert re.search(r"Preceptor is ready at http://127\.0\.0\.1:\d+", installation.said())

    assert f"already runs at http://127.0.0.1:{installation.port}" in installation.verb("up")

    web = installation.groups()["config.asgi"]
    os.kill(web, signal.SIGKILL)
    assert until(lambda: installation.groups().get("config.asgi") not in (None, web), seconds=30)
    assert until(installation.is_ready, seconds=30)
    assert "web was ended by SIGKILL" in installation.said()

    postgres = int((installation.home.path / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(postgres, signal.SIGKILL)
    assert until(lambda: "PostgreSQL was gone" in installation.said(), seconds=30)
    assert until(installation.is_ready, seconds=30)

    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(40) == 0
    assert until(lambda: installation.processes() == [], seconds=30), installation.processes()


def test_after_a_kill_of_the_supervisor_the_next_start_finds_the_data(installation):
    killed = installation.up()
    key = installation.home.secret_key_file.read_text()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert until(lambda: not installation.is_ready(), seconds=30), "the web server outlives its supervisor"

    again = installation.up()
    assert installation.is_ready()
    assert installation.home.secret_key_file.read_text() == key
    assert installation.verb("stop") == "Stopped.\n"
    assert again.wait(40) == 0
    assert until(lambda: installation.processes() == [], seconds=30), installation.processes()
    assert installation.verb("stop") == "Nothing of it ran.\n"


def test_a_port_that_is_taken_is_named(installation):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", installation.port))
        taken.listen()
        result = subprocess.run(UP, cwd=ROOT, env=installation.environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{installation.port}" in result.stderr
    assert "PORT=" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
def test_a_folder_that_the_database_user_cannot_enter_is_named(installation, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o700)
    environment = installation.environment | {"PRECEPTOR_HOME": str(tmp_path / "closed" / "home")}
    result = subprocess.run(UP, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "may not enter" in result.stderr
    assert "PRECEPTOR_HOME" in result.stderr
