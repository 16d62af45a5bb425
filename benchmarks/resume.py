"""`make bench-resume`: kill -9 at every step and at every write of every stage, resume, and compare bit for bit (E8).

    make bench-resume                  all stages
    make bench-resume OPTIONS="ppo"    these only

Steps: once before and once after the first update of each step. Writes: at every system call that changes a file of the
run, killed before it is made: from the append of a row through the whole writing of a checkpoint (open, write, fsync,
rename, the deletion of an old one) to the append of the next row; and from the last row to the end, publishing included.
Resumed as the supervisor does it, in a new attempt folder, and compared with a run that was left alone: weights, EMA,
optimizer moments, generator states, metric rows, samples and result.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: what is forked must have no threads
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import django

django.setup()

from benchmarks.syscalls import Change, Tracee, trace_me  # noqa: E402
from tests.training.core import faults  # noqa: E402
from tests.training.core.attempts import Attempts, run_differences  # noqa: E402
from tests.training.core.faults import Fault  # noqa: E402
from tests.training.core.forks import become, import_everything  # noqa: E402
from tests.training.core.rundirs import make_model, make_run, rankings  # noqa: E402
from tests.training.core.stages import LOOKS, STAGES  # noqa: E402
from training.core.checkpoint import checkpoints  # noqa: E402
from training.core.machine import machine  # noqa: E402

WATCHED_FROM = 3  # the row after which system calls are watched: row 4 and the checkpoint of step 4 follow
FORK = multiprocessing.get_context("fork")


class Point(NamedTuple):
    """Where a run dies: at a fault, or at a system call."""

    stage: str
    what: str
    fault: Fault | None
    call: int | None


class Outcome(NamedTuple):
    """What came of it."""

    point: Point
    differences: list[str]
    seconds: float


def main(names: list[str]) -> int:
    """Print a line for each stage; 0 where every point of all came out bit-identical."""
    if unknown := set(names) - set(STAGES):
        sys.exit(f"{', '.join(unknown)}: unknown; there are: {', '.join(STAGES)}")
    import_everything()
    faults.ACTS["watch"] = lambda *_: trace_me()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="preceptor-resume-") as place:
        root = Path(place)
        maker = FORK.Process(target=make_models, args=(root,))
        maker.start()
        maker.join()
        what = machine(1)
        print(", ".join(f"{name} {what[name]}" for name in ("torch", "transformers", "cpu", "threads")))
        print(f"{'stage':<18}{'steps':>7}{'writes':>8}{'bit-identical':>15}{'seconds':>9}", flush=True)
        with FORK.Pool(os.cpu_count()) as pool:
            for name in names or STAGES:
                began = time.monotonic()
                points = pool.apply(points_of, (root, name))
                outcomes = list(pool.imap_unordered(partial(try_point, root), points))
                missed += report(name, outcomes, time.monotonic() - began)
    return min(missed, 1)


def report(name: str, outcomes: list[Outcome], seconds: float) -> int:
    """Print the stage's line, and every point that came out differently."""
    wrong = [outcome for outcome in outcomes if outcome.differences]
    writes = sum(outcome.point.call is not None for outcome in outcomes)
    same = f"{len(outcomes) - len(wrong)} of {len(outcomes)}"
    print(f"{name:<18}{len(outcomes) - writes:>7}{writes:>8}{same:>15}{seconds:>9.0f}", flush=True)
    for outcome in wrong:
        print(f"  {outcome.point.what}: {', '.join(outcome.differences[:5])}", flush=True)
    return len(wrong)


def make_models(root: Path) -> None:
    """A random policy and a reward model that was trained for a moment."""
    base = make_model(root / "base")
    path = make_run(
        root / "reward", "reward", {"lr": 1e-3}, data={"train": rankings(16)}, inputs={"model": base}
    )
    run_child("reward", path)


def models_of(root: Path) -> dict[str, Path]:
    reward = root / "reward" / "model"
    return {"model": root / "base", "reward": reward, "judge": reward}


def run_child(kind: str, path: Path, *accidents: Fault) -> int:
    """`python -m training.core kind path` in a forked child; its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        become([kind, str(path)], path.with_name("log.txt"), accidents)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def watched_child(kind: str, path: Path, kill_at: int | None) -> tuple[list[Change], int]:
    """The same, watched after row WATCHED_FROM and killed at one of its changes."""
    watch = Fault("row", WATCHED_FROM, when="after", do="watch")
    run = partial(become, [kind, str(path)], path.with_name("log.txt"), [watch])
    return Tracee(run, path.parent).follow(kill_at)


def points_of(root: Path, name: str) -> list[Point]:
    """Run the stage once undisturbed and once watched; every place where it can die."""
    stage = STAGES[name]
    alone = root / "alone" / name
    config = {**LOOKS, "save_every": 1, "keep_checkpoints": 100}
    if run_child(stage.kind, stage.write(alone, models_of(root), config)) != 0:
        raise RuntimeError((alone / "log.txt").read_text(encoding="utf-8"))
    attempts = Attempts(root / "watched" / name, stage, models_of(root), {**LOOKS, "save_every": 2})
    changes, code = watched_child(stage.kind, attempts.next(), None)
    if code != 0:
        raise RuntimeError((attempts.path / "log.txt").read_text(encoding="utf-8"))
    steps = len(checkpoints(alone))
    found = [
        Point(name, f"{when} an update of step {step}", Fault("optimizer", step - 1, 1, when), None)
        for step in range(1, steps + 1)
        for when in ("before", "after")
    ]
    return found + [
        Point(name, f"{number}: {change.call} {change.path}", None, number)
        for number, change in in_windows(changes)
    ]


def in_windows(changes: list[Change]) -> Iterator[tuple[int, Change]]:
    """The changes from the first row up to the second, and from the last row on."""
    rows = [n for n, change in enumerate(changes) if change == Change("write", Path("metrics.jsonl"))]
    for number, change in enumerate(changes):
        if number <= rows[1] or number >= rows[-1]:
            yield number, change


def try_point(root: Path, point: Point) -> Outcome:
    """Let it die there, resume it in a new attempt, and compare."""
    began = time.monotonic()
    stage = STAGES[point.stage]
    folder = Path(tempfile.mkdtemp(dir=root))
    attempts = Attempts(folder, stage, models_of(root), {**LOOKS, "save_every": 2})
    if point.fault is not None:
        code = run_child(stage.kind, attempts.next(), point.fault)
    else:
        code = watched_child(stage.kind, attempts.next(), point.call)[1]
    differences = [] if code == -signal.SIGKILL else [f"it was not killed but left with {code}"]
    code = run_child(stage.kind, attempts.next())
    if code != 0:
        differences.append(f"the resumed run left with {code}")
    else:
        differences += run_differences(root / "alone" / point.stage, attempts.path)
    shutil.rmtree(folder)
    return Outcome(point, differences, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
