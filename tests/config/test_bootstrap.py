"""The first line of every verb, under a Python that is too old or too new."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

AS_PYTHON = """
import runpy, sys
sys.version_info = ({major}, {minor}, 0, "final", 0)
sys.argv = ["config.bootstrap", "up", "--port", "80"]
runpy.run_module("config.bootstrap", run_name="__main__")
"""


def start(version: tuple[int, int], path: Path) -> subprocess.CompletedProcess[str]:
    """Run the bootstrap as that version of Python, with only `path` to find another one in."""
    code = AS_PYTHON.format(major=version[0], minor=version[1])
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": str(path)}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_told_which_to_install(tmp_path: Path, version: tuple[int, int]) -> None:
    ended = start(version, tmp_path)
    assert ended.returncode == 1
    assert f"needs Python 3.11, 3.12 or 3.13; this is {version[0]}.{version[1]}." in ended.stderr
    assert "make up PYTHON=/path/to/python3.12" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_newest_python_that_fits_takes_over(tmp_path: Path) -> None:
    for minor in (11, 12, 14):
        other = tmp_path / f"python3.{minor}"
        other.write_text(f'#!/bin/sh\necho 3.{minor} "$@"\n')
        other.chmod(0o755)
    ended = start((3, 10), tmp_path)
    assert ended.stdout.strip() == "3.12 -m config.bootstrap up --port 80", ended.stderr
