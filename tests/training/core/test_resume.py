"""E8: a run that dies or is stopped, and is resumed, ends with the same bits as one that was left alone.

Every death is a SIGKILL of a real process at an exact place. `make bench-resume` does it at every step and every write.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.core.attempts import Attempts, checkpoint_differences, rows_without_times, run_differences
from tests.training.core.conftest import run_it
from tests.training.core.faults import Fault
from tests.training.core.forks import Forks
from tests.training.core.rundirs import demonstrations, make_run, rankings
from tests.training.core.stages import LOOKS, STAGES, WRITERS, Stage
from training.core import dpo
from training.core.__main__ import main
from training.core.checkpoint import checkpoints
from training.core.config import PRESETS
from training.core.report import read_rows

TEST = PRESETS["test"]["sft"]


def deaths_of(stage: Stage, last: int) -> dict[str, Fault]:
    return {
        "in a step: gradients made, weights not moved": Fault("optimizer", 2),
        "between steps, right after a checkpoint": Fault("save", 4, when="after"),
        "in an iteration: some or all updates made, no row": Fault("optimizer", 4, max(stage.updates // 2, 1), "after"),
        "row written, no checkpoint": Fault("row", 5, when="after"),
        "half of a checkpoint's tensors written": Fault("tensors", 6, when="after", do="torn"),
        "checkpoint written, not renamed": Fault("rename", 6),
        "model written, not renamed": Fault("rename", last, 2),
    }  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_killed_and_resumed_it_ends_with_the_same_bits(
    name: str, alone: Callable[[str], Path], models: dict[str, Path], forks: Forks, tmp_path: Path
) -> None:
    """One run dies seven deaths, each attempt going on from what the one before has left."""
    whole, stage = alone(name), STAGES[name]
    attempts = Attempts(tmp_path, stage, models, {**LOOKS, "save_every": 2})
    for place, fault in deaths_of(stage, len(checkpoints(whole))).items():
        assert forks.run(stage.kind, attempts.next(), fault) == -signal.SIGKILL, place
        assert read_rows(attempts.path / "metrics.jsonl")[-1]["step"] == fault.rows, place
        assert (attempts.path / f"step-{fault.rows}.tmp").exists() == (
            place.split()[0] in ("half", "checkpoint")
        )
        assert not list(tmp_path.glob(f"attempt-[!{attempts.fence}]/*.tmp")), (
            "left behind by an earlier attempt"
        )
        for left in checkpoints(attempts.path):
            assert checkpoint_differences(whole / left.name, left) == [], place
    assert forks.run(stage.kind, attempts.next()) == 0
    assert run_differences(whole, attempts.path) == []
    assert json.loads((attempts.path / "result.json").read_text())["resumed_at"] == len(checkpoints(whole))


@pytest.mark.parametrize("name", STAGES)
def test_asked_to_stop_it_leaves_a_checkpoint_and_nothing_else(
    name: str, alone: Callable[[str], Path], models: dict[str, Path], forks: Forks, tmp_path: Path
) -> None:
    """SIGTERM and SIGINT in a step, while loading, sampling, saving and publishing; each time it goes on later."""
    whole, stage = alone(name), STAGES[name]
    last = len(checkpoints(whole))
    attempts = Attempts(tmp_path, stage, models, {**LOOKS, "save_every": 4})
    for fault, saved in [
        (Fault("optimizer", 0, do="term"), 1),
        (Fault("load", -1, do="int"), None),
        (Fault("generate" if stage.samples else "optimizer", 1, do="int"), 2),
        (Fault("fsync", 4, 3, do="term"), 4),  # the first two are of the rows
        (Fault("publish", last, do="int"), last),
    ]:
        code = 128 + (signal.SIGTERM if fault.do == "term" else signal.SIGINT)
        assert forks.run(stage.kind, attempts.next(), fault) == code, fault
        assert [path.name for path in checkpoints(attempts.path)][-1:] == (
            [f"step-{saved}"] if saved else []
        ), fault
        left = {path.name for path in attempts.path.iterdir() if not path.name.startswith("step-")}
        assert left <= {"run.json", "inputs", "log.txt", "metrics.jsonl", "samples.jsonl", "report.json"}, (
            fault
        )
    assert forks.run(stage.kind, attempts.next()) == 0
    assert run_differences(whole, attempts.path) == []


@pytest.mark.parametrize("name", WRITERS)
def test_what_only_writes_is_killed_anywhere_and_run_again_in_its_folder(
    name: str, models: dict[str, Path], forks: Forks, tmp_path: Path
) -> None:
    """Between batches, with the file or folder half-written, not renamed and renamed, and before result.json has its name."""
    stage, models = WRITERS[name], {**models, "reference": models["model"]}
    whole, again = (stage.write(tmp_path / folder, models, {}) for folder in ("whole", "again"))
    assert forks.run(stage.kind, whole) == 0
    for fault in DEATHS_OF_WRITERS[name]:
        assert forks.run(stage.kind, again, fault) == -signal.SIGKILL, fault
        assert not (again.parent / "result.json").exists(), fault
    assert forks.run(stage.kind, again) == 0
    assert written(again.parent) == written(whole.parent)


DEATHS_OF_WRITERS = {
    "score": [
        Fault("fsync", -1),  # scores.jsonl is written and has no name
        Fault("replace", -1, when="after"),
        Fault("replace", -1, 2),  # result.json
    ],
    "best_of_n": [
        Fault("generate", 1),
        Fault("row", 2, when="after"),
        Fault("fsync", 4),  # best.tmp is full
        Fault("rename", 4),
        Fault("rename", 4, when="after"),
        Fault("replace", 4),  # result.json
    ],
}


def written(folder: Path) -> dict[str, Any]:
    """All that a run leaves, times apart."""
    found: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("log.txt", "run.json", "metrics.jsonl", "result.json")
    }
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result.pop("seconds") > 0
    return {**found, "result": result, "rows": rows_without_times(folder / "metrics.jsonl")}


def test_resumed_by_hand_in_its_own_folder(
    alone: Callable[[str], Path], models: dict[str, Path], tmp_path: Path
) -> None:
    """What came after the checkpoint, rows and checkpoints, is dropped and made again."""
    stage = STAGES["sft with dropout"]
    config = {**LOOKS, "save_every": 2, "keep_checkpoints": 100}
    assert main(["sft", str(stage.write(tmp_path, models, config))]) == 0
    (tmp_path / "step-8" / "state.json").unlink()  # Nobody may go on from here.
    assert (
        main(["sft", str(stage.write(tmp_path, models, {**config, "save_every": 3}, resume_from="step-4"))])
        == 0
    )
    assert [path.name for path in checkpoints(tmp_path)] == [
        "step-2",
        "step-4",
        "step-6",
        "step-9",
        "step-10",
    ]
    assert run_differences(alone("sft with dropout"), tmp_path) == []


def test_dpo_goes_on_without_reading_its_reference_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache lies in the checkpoint. With the loss that is not among STAGES."""
    loss = {"loss": "plackett_luce", "length_normalize": True}
    config = {**PRESETS["test"]["dpo"], "epochs": 2, "save_every": 2, **loss}
    options: dict[str, Any] = {
        "data": {"train": rankings(18), "valid": rankings(4)},
        "inputs": {"model": base},
    }
    whole = run_it(tmp_path / "whole", "dpo", config, **options)
    shutil.copytree(whole, tmp_path / "again", symlinks=True)
    monkeypatch.setattr(dpo, "fill", lambda *_: pytest.fail("the reference was read again"))
    again = run_it(tmp_path / "again", "dpo", config, **options, resume_from="step-8")
    assert run_differences(whole, again) == []


def test_started_anew_nothing_of_the_first_try_is_left(base: Path, tmp_path: Path) -> None:
    """Else the checkpoints of a longer first try would be the newest, and the new ones be deleted as old."""
    options: dict[str, Any] = {"data": {"train": demonstrations(16)}, "inputs": {"model": base}}
    run_it(tmp_path, "sft", {**TEST, "epochs": 2, "save_every": 2}, **options)
    run_it(tmp_path, "sft", {**TEST, "lr": 0.01, "save_every": 2}, **options)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-2", "step-4"]
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3, 4]


def test_the_child_leaves_when_its_supervisor_is_gone(base: Path, forks: Forks, tmp_path: Path) -> None:
    config = {**TEST, "epochs": 1000, "save_every": 100_000, "sample_every": 100_000, "eval_every": 100_000}
    reading, writing = os.pipe()
    path = make_run(tmp_path, "sft", config, data={"train": demonstrations(16)}, inputs={"model": base})
    pid = forks.start("sft", path, held=reading)
    os.close(reading)
    wait_until(lambda: len(read_rows(tmp_path / "metrics.jsonl")) > 1)
    os.close(writing)
    assert forks.wait(pid) == -signal.SIGKILL


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
