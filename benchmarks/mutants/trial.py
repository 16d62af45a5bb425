"""One run of some tests against a copy of the code, in a forked process that has torch and transformers already."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutants.table import Edit

ROOT = Path(__file__).resolve().parents[2]
# What the tests of the two cores read; conftest.py of the folders above would ask for Django.
COPIED = ("inference/engine", "training/core", "tests/inference/engine", "tests/training/core")
OURS = ("inference", "tests", "training")
CPU_SECONDS, WALL_SECONDS = 300, 1500

_NUMBER = re.compile(r"(?<![\w.])-?(\d+\.?\d*(e[-+]?\d+)?|inf|nan)(?![\w.])")
_EXIT_STATUS = re.compile(r"\bmain\(")


class NoPlace(Exception):
    """A mutation's text is not exactly once in its file: the code has moved on, and the table has to follow."""


@dataclass(frozen=True)
class Failure:
    """The first test that failed, and where: the deepest line that is a test's own."""

    test: str
    error: str
    line: str
    statement: str
    message: str

    @property
    def numeric(self) -> bool:
        """Whether an assertion on numbers failed: no crash, and no stage that merely ended badly."""
        return (
            self.error == "AssertionError"
            and not _EXIT_STATUS.search(self.statement)
            and _NUMBER.search(self.message) is not None
        )


@dataclass(frozen=True)
class Outcome:
    """failure None: all tests passed, or `trouble` says why none could tell."""

    failure: Failure | None
    trouble: str
    cpu_seconds: float


def copy_of_the_code(folder: Path, edits: Sequence[Edit]) -> None:
    """The two cores with their tests and pytest's settings, edited. Raises NoPlace."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for parent in (folder / name).relative_to(folder).parents:
            if (ROOT / parent / "__init__.py").is_file():
                shutil.copy(ROOT / parent / "__init__.py", folder / parent)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for edit in edits:
        path = folder / edit.file
        text = path.read_text(encoding="utf-8")
        if (found := text.count(edit.old)) != 1:
            raise NoPlace(f"{edit.file} has {found} times, and not once: {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def trial(folder: Path, tests: Sequence[str]) -> Outcome:
    """Run the tests there until the first that fails. Our modules are imported in the child alone, from the copy."""
    assert not [name for name in sys.modules if name.partition(".")[0] in OURS]
    if (child := os.fork()) == 0:
        status = 1
        try:
            _in_child(folder, tests)
            status = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens, and never return to the parent's loop
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    try:
        _, status, usage = os.wait4(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)  # Whoever ends this process ends that one too.
        raise
    seconds = usage.ru_utime + usage.ru_stime
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Outcome(None, f"ended by {name} (time is up after {CPU_SECONDS} CPU seconds)", seconds)
    try:
        found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    except OSError:
        return Outcome(None, f"pytest itself failed: {_last_line(folder / 'log.txt')}", seconds)
    failure = Failure(**found["failure"]) if found["failure"] else None
    return Outcome(failure, found["trouble"], seconds)


def _in_child(folder: Path, tests: Sequence[str]) -> None:
    log = os.open(folder / "log.txt", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(WALL_SECONDS)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(path for path in sys.path if path and Path(path).resolve() != ROOT)]
    watch = _Watch(folder)
    code = pytest.main(
        # In place of pyproject's: no Django, no processes beside this one.
        ["-o", "addopts=--strict-markers --import-mode=importlib", "-p", "no:cacheprovider", "-x", "-q",
         "--basetemp", str(folder / "tmp"), *tests],
        plugins=[watch],
    )  # fmt: skip
    assert all(
        Path(str(sys.modules[name].__file__)).is_relative_to(folder) for name in OURS if name in sys.modules
    )
    trouble = (
        ""
        if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        else watch.trouble or pytest.ExitCode(code).name
    )
    found = {"failure": asdict(watch.failure) if watch.failure else None, "trouble": trouble}
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


class _Watch:
    """A pytest plugin that keeps the first failure as it was raised, and not as it is printed."""

    def __init__(self, folder: Path) -> None:
        self.tests = folder / "tests"
        self.failure: Failure | None = None
        self.trouble = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, pytest.TestReport]:
        report: pytest.TestReport = yield
        if report.failed and call.excinfo is not None and self.failure is None:
            own = [entry for entry in call.excinfo.traceback if Path(entry.path).is_relative_to(self.tests)]
            last = own[-1] if own else call.excinfo.traceback[-1]
            self.failure = Failure(
                test=item.nodeid,
                error=call.excinfo.typename,
                line=f"{Path(last.path).name}:{last.lineno + 1}",
                statement=" ".join(str(last.statement).split()),
                message=" ".join(str(call.excinfo.value).split()),
            )
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.trouble = (
                f"{report.nodeid} cannot be collected: {str(report.longrepr).strip().splitlines()[-1]}"
            )


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it left no word")
