"""A checkpoint is whole and sound or it is none, and a damaged one gives way to the one before."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.training.core.attempts import Attempts, checkpoint_differences, run_differences
from tests.training.core.conftest import run_it
from tests.training.core.faults import Fault
from tests.training.core.forks import Forks
from tests.training.core.rundirs import demonstrations, make_run, rankings
from tests.training.core.stages import LOOKS, STAGES
from training.core.__main__ import main
from training.core.checkpoint import checkpoints
from training.core.config import PRESETS
from training.core.machine import machine
from training.core.report import read_rows
from training.core.run_folder import sha256_of
from training.runner.checkpoints import take_checkpoint

TEST = PRESETS["test"]["sft"]


@pytest.fixture
def finished(base: Path, tmp_path: Path) -> tuple[Path, Callable[..., int]]:
    """A run with two checkpoints, and a way to go on from the newest with other settings."""
    options: dict[str, Any] = {"data": {"train": demonstrations(16)}, "inputs": {"model": base}}
    run_it(tmp_path, "sft", {**TEST, "save_every": 2}, **options)

    def again(sha256: dict[str, str] | None = None, **config: Any) -> int:
        name = checkpoints(tmp_path)[-1].name
        path = make_run(
            tmp_path,
            "sft",
            {**TEST, "save_every": 2, **config},
            **options,
            resume_from=name,
            sha256=sha256 or {},
        )
        return main(["sft", str(path)])

    return tmp_path, again


def error_in(folder: Path) -> dict[str, str]:
    error: dict[str, str] = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    return error


def test_a_checkpoint_of_other_settings_is_refused(finished: tuple[Path, Callable[..., int]]) -> None:
    folder, again = finished
    assert again(lr=0.5) == 1
    assert error_in(folder)["code"] == "checkpoint_mismatch"
    assert again(sha256=hashes(folder, "inputs/model/model.safetensors")) == 1
    assert error_in(folder)["code"] == "checkpoint_mismatch", "it was made from other inputs"
    assert again(micro_batch_tokens=64, keep_checkpoints=5) == 0, "these do not make it another run"


def hashes(folder: Path, name: str) -> dict[str, str]:
    return {name: sha256_of(folder / name)}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "words"), [(flip, "SHA-256"), (cut, "bytes instead of"), (Path.unlink, "missing")]
)
@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_refused_by_name(
    damage: Callable[[Path], None], words: str, name: str, finished: tuple[Path, Callable[..., int]]
) -> None:
    folder, again = finished
    damage(checkpoints(folder)[-1] / name)
    assert again() == 1
    error = error_in(folder)
    assert error["code"] == "checkpoint_damaged"
    assert name in error["message"]
    assert words in error["message"]
    assert "earlier checkpoint" in error["remedy"]


def test_what_changed_in_the_machine_since_is_noted(
    finished: tuple[Path, Callable[..., int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on, but says that the last bits need not be those of an uninterrupted run."""
    folder, again = finished
    assert again() == 0
    assert "resumed_on_another" not in json.loads((folder / "result.json").read_text())
    real = metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda name: "9.9.9" if name == "torch" else real(name))
        machine.cache_clear()
        assert again() == 0
    machine.cache_clear()
    assert json.loads((folder / "result.json").read_text())["resumed_on_another"] == {
        "torch": [real("torch"), "9.9.9"]
    }


def test_a_checkpoint_is_synced_before_its_manifest_and_its_name(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a name must never stand for bytes that are not there: the order of fsync, rename and delete."""
    done: list[str] = []
    fsync = os.fsync

    def name_of(path: Any) -> str:
        return os.path.relpath(path, tmp_path)

    def watched_fsync(descriptor: int) -> None:
        done.append(f"fsync {name_of(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        fsync(descriptor)

    def watched(real: Callable[..., None]) -> Callable[..., None]:
        def rename(source: Any, target: Any) -> None:
            done.append(f"rename {name_of(target)}")
            real(source, target)

        return rename

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", watched_fsync)
        for name in ("rename", "replace"):
            patch.setattr(os, name, watched(getattr(os, name)))
        run_it(
            tmp_path,
            "sft",
            {**TEST, "save_every": 2, "keep_checkpoints": 1},
            data={"train": demonstrations(16)},
            inputs={"model": base},
        )
    begin = done.index("fsync metrics.jsonl", done.index("rename step-2"))
    at = -1
    for what in (
        "fsync metrics.jsonl", "fsync samples.jsonl", "fsync step-4.tmp/tensors.safetensors",
        "fsync step-4.tmp/state.json.tmp", "rename step-4.tmp/state.json", "fsync step-4.tmp/MANIFEST.json.tmp",
        "rename step-4.tmp/MANIFEST.json", "fsync step-4.tmp", "rename step-4", "fsync .", "rename step-2.old.tmp",
    ):  # fmt: skip
        at = done.index(what, max(begin, at + 1))


def test_a_disk_that_fails_to_sync_gives_no_checkpoint(base: Path, forks: Forks, tmp_path: Path) -> None:
    """After a failed fsync nobody knows what is on the disk: no second try, no manifest, the checkpoint before stays (F33)."""
    path = make_run(
        tmp_path, "sft", {**TEST, "save_every": 2}, data={"train": demonstrations(16)}, inputs={"model": base}
    )
    assert forks.run("sft", path, Fault("fsync", 4, 3, do="eio")) == 1
    assert error_in(tmp_path)["code"] == "io_error"
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-2"]


def test_a_disk_that_keeps_other_bytes_costs_no_older_checkpoint(
    base: Path, forks: Forks, tmp_path: Path
) -> None:
    """What was written is read back before anything older goes."""
    config = {**TEST, "save_every": 2, "keep_checkpoints": 1}
    path = make_run(tmp_path, "sft", config, data={"train": demonstrations(16)}, inputs={"model": base})
    assert forks.run("sft", path, Fault("fsync", 4, 6, when="after", do="rot")) == 1
    assert error_in(tmp_path)["code"] == "checkpoint_damaged"
    assert [path.name for path in checkpoints(tmp_path)] == ["step-2"]


def test_weights_that_are_not_finite_are_neither_saved_nor_published(
    base: Path, forks: Forks, tmp_path: Path
) -> None:
    """The last update spoils them: no loss is computed after it that could tell."""
    config = {**PRESETS["test"]["reward"], "save_every": 1}
    path = make_run(tmp_path, "reward", config, data={"train": rankings(16)}, inputs={"model": base})
    assert forks.run("reward", path, Fault("optimizer", 3, when="after", do="spoil")) == 1
    assert error_in(tmp_path)["code"] == "nan_loss"
    assert [path.name for path in checkpoints(tmp_path)] == ["step-2", "step-3"]
    assert not (tmp_path / "model").exists()


def test_the_newest_checkpoints_are_kept(base: Path, tmp_path: Path) -> None:
    config = {**TEST, "epochs": 2, "save_every": 2, "keep_checkpoints": 2}
    run_it(tmp_path, "sft", config, data={"train": demonstrations(18)}, inputs={"model": base})
    assert [path.name for path in checkpoints(tmp_path)] == ["step-8", "step-10"]


# --- falling back, the supervisor's part (training/runner/checkpoints.py) -------------------------------------------


@pytest.fixture(scope="session")
def killed(models: dict[str, Path], forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose first attempt died after step 5 with checkpoints of steps 2 and 4."""
    attempts = Attempts(
        tmp_path_factory.mktemp("killed"), STAGES["sft with dropout"], models, {**LOOKS, "save_every": 2}
    )
    assert forks.run("sft", attempts.next(), Fault("row", 5, when="after")) == -signal.SIGKILL
    return attempts.folder


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "MANIFEST.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_the_log_says_so(
    damage: Callable[[Path], None], name: str, killed: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(killed, tmp_path / "run", symlinks=True)
    damage(folder / "attempt-1" / "step-4" / name)
    with capture_logs() as told:
        found = take_checkpoint(folder, "attempt-1/step-4", tmp_path / "taken")
    assert found is not None
    assert found.label == "attempt-1/step-2"
    assert checkpoint_differences(tmp_path / "taken", folder / "attempt-1" / "step-2") == []
    (event,) = told
    assert (event["event"], event["log_level"]) == ("checkpoint_damaged", "warning")
    assert (event["run"], event["checkpoint"]) == ("run", "attempt-1/step-4")
    assert name in event["fault"] or name == "MANIFEST.json"
    flip(folder / "attempt-1" / "step-2" / "tensors.safetensors")
    with capture_logs() as told:
        assert take_checkpoint(folder, "attempt-1/step-4", tmp_path / "none") is None
    assert [event["event"] for event in told] == ["checkpoint_damaged"] * 2 + ["no_checkpoint_left"]
    assert not (tmp_path / "none").exists()


def test_from_the_one_before_it_ends_with_the_same_bits(
    alone: Callable[[str], Path], killed: Path, models: dict[str, Path], forks: Forks, tmp_path: Path
) -> None:
    shutil.copytree(killed, tmp_path / "run", symlinks=True)
    flip(tmp_path / "run" / "attempt-1" / "step-4" / "tensors.safetensors")
    attempts = Attempts(tmp_path / "run", STAGES["sft with dropout"], models, {**LOOKS, "save_every": 2})
    attempts.fence = 1
    path = attempts.next()
    assert [row["step"] for row in read_rows(attempts.path / "metrics.jsonl")] == [0, 1, 2], (
        "who follows sees no row twice"
    )
    assert forks.run("sft", path) == 0
    assert json.loads((attempts.path / "result.json").read_text())["resumed_at"] == 2
    assert run_differences(alone("sft with dropout"), attempts.path) == []
