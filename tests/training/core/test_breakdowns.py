"""A run that breaks down while it goes: weights that are no numbers, and disks without room. The last good checkpoint stays."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.training.core.attempts import Attempts, run_differences
from tests.training.core.conftest import told
from tests.training.core.faults import Fault
from tests.training.core.forks import Forks
from tests.training.core.rundirs import demonstrations, make_run
from tests.training.core.stages import LOOKS, STAGES
from training.core.checkpoint import checkpoints
from training.core.config import PRESETS
from training.core.report import read_rows

TEST = PRESETS["test"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.inputs])
def test_weights_that_are_no_numbers_stop_the_run(
    name: str, number: float, models: dict[str, Path], tmp_path: Path, forks: Forks
) -> None:
    stage = STAGES[name]
    for role in stage.inputs:
        path = stage.write(
            tmp_path / role / "run",
            {**models, role: poisoned(models[role], tmp_path / role / "hot", number)},
            {},
        )
        error = told(path.parent, forks.run(stage.kind, path))
        assert error["code"] == "nan_loss"
        assert not checkpoints(path.parent)


def poisoned(source: Path, target: Path, number: float) -> Path:
    """A copy of a model with one weight of its last norm being no number."""
    shutil.copytree(source, target)
    path = target / "model.safetensors"
    tensors = load_file(path)
    tensors[next(n for n in tensors if n.endswith("ln_f.weight"))][0] = number
    save_file(tensors, path, metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("name", STAGES)
def test_a_run_that_diverges_ends_at_once_and_keeps_its_last_good_checkpoint(
    name: str, alone: Callable[[str], Path], models: dict[str, Path], forks: Forks, tmp_path: Path
) -> None:
    """An update of step 3 makes weights NaN, as a rate that is too high does; the next loss shows it."""
    whole, stage = alone(name), STAGES[name]
    attempts = Attempts(tmp_path, stage, models, {**LOOKS, "save_every": 2})
    error = told(
        attempts.next().parent,
        forks.run(stage.kind, attempts.path / "run.json", Fault("optimizer", 2, when="after", do="spoil")),
    )
    assert error["code"] == "nan_loss"
    assert "learning rate" in error["remedy"]
    assert [path.name for path in checkpoints(attempts.path)] == ["step-2"]
    assert read_rows(attempts.path / "metrics.jsonl")[-1]["step"] in (2, 3)
    assert forks.run(stage.kind, attempts.next()) == 0
    assert run_differences(whole, attempts.path) == []


@pytest.mark.parametrize("name", STAGES)
def test_a_full_disk_is_told_and_once_there_is_room_it_goes_on_with_the_same_bits(
    name: str, alone: Callable[[str], Path], models: dict[str, Path], forks: Forks, tmp_path: Path
) -> None:
    """Full at the append of a row, at a checkpoint, and at the model: a real limit of the kernel on what files may hold."""
    whole, stage = alone(name), STAGES[name]
    last = len(checkpoints(whole))
    attempts = Attempts(tmp_path, stage, models, {**LOOKS, "save_every": 2})
    for fault, left in [
        (Fault("row", 5, do="full"), ["step-2", "step-4"]),
        (Fault("save", 6, do="full"), []),
        (Fault("publish", last, do="full"), [f"step-{last}"]),
    ]:
        code = forks.run(stage.kind, attempts.next(), fault)
        error = told(attempts.path, code)
        assert error["code"] == "disk_full", fault
        assert "Free space" in error["remedy"]
        assert [path.name for path in checkpoints(attempts.path)][-len(left) or 9 :] == left, fault
    assert forks.run(stage.kind, attempts.next()) == 0
    assert run_differences(whole, attempts.path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 480 kB of its own: room for one checkpoint of the small model and half of another."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=480k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount; RLIMIT_FSIZE above says much the same")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_without_room_for_a_second_checkpoint(base: Path, small_disk: Path, forks: Forks) -> None:
    folder = small_disk / "run"
    path = make_run(
        folder,
        "sft",
        {**TEST["sft"], "save_every": 2},
        data={"train": demonstrations(16)},
        inputs={"model": base},
    )
    error = told(folder, forks.run("sft", path))
    assert error["code"] == "disk_full"
    assert [path.name for path in checkpoints(folder)] == ["step-2"]
