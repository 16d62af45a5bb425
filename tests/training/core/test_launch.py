"""The launcher's manners: how a run on several processes ends, seen from whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.core.launch import _launch, code_of, main

ROOT = Path(__file__).parents[3]
# A rank that says with which number it ends; the other one waits to be told to go, as one in an all-reduce would.
RANK = "import os, signal, time; rank = os.environ['RANK'];"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("exit(0)", 0),
        ("exit(143)", 143),
        ("rank == '1' and os.kill(os.getpid(), signal.SIGKILL); time.sleep(30)", -signal.SIGKILL),
        ("exit(1 if rank == '1' else 0)", 1),
    ],
)
def test_it_ends_as_its_ranks_ended(words: str, code: int) -> None:
    assert _launch(2, ["-c", f"{RANK} {words}"]) == code


def test_what_tells_most_is_told() -> None:
    assert code_of([1, -signal.SIGKILL]) == -signal.SIGKILL, "the other one has only lost its peer"
    assert code_of([-signal.SIGTERM, 1]) == 1, "the launcher's own signal to what was left"
    assert code_of([143, 0]) == 143


@pytest.mark.parametrize("words", [[], ["two", "sft", "run.json"], ["2", "sing", "run.json"]])
def test_it_says_how_it_is_called(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "training.core.launch 4 sft" in capsys.readouterr().err


def test_a_rank_leaves_when_its_launcher_is_gone(tmp_path: Path) -> None:
    """The launcher is killed; its rank, in a session of its own, notices within a second or two."""
    rank = "from training.core.run_folder import leave_with_parent; import time; leave_with_parent(); print('up', flush=True); time.sleep(60)"
    starter = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {rank!r}], start_new_session=True); print(p.pid, flush=True); time.sleep(60)"
    environment = {**os.environ, "TORCHELASTIC_RUN_ID": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", starter], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        lines = [launcher.stdout.readline().strip() for _ in range(2)]
        assert "up" in lines
        pid = int(next(line for line in lines if line.isdecimal()))
        launcher.kill()
        end = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
