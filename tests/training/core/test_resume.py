"""E8: a run that dies and is resumed ends with the same weights, optimizer and metric rows as one that was left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, make_run, prompts, rankings
from training.core.__main__ import main
from training.core.config import PRESETS
from training.core.metrics import TIMING_COLUMNS
from training.core.report import Reporter, read_rows

ROOT = Path(__file__).parents[3]
TEXT = "The sea is grey today. The sky is blue. A small dog found a friend in the rain. " * 60


class Died(Exception):
    """Stands for the death of the process."""


STAGES: dict[str, dict[str, Any]] = {
    "pretrain": {"steps": 8},
    "sft": {"epochs": 2, "dropout": 0.2, "lr_schedule": "cosine", "warmup_steps": 2},
    "reward": {"epochs": 2, "warmup_steps": 2},
    "ppo": {
        "iterations": 6,
        "ema_decay": 0.9,
        "kl_target": 0.01,
        "kl_horizon": 50.0,
        "kl_budget": 50.0,
        "epochs": 2,
    },
}


def options_of(kind: str, base: Path, reward_model: Path) -> dict[str, Any]:
    if kind == "sft":
        return {"data": {"train": demonstrations(18), "valid": demonstrations(4)}, "inputs": {"model": base}}
    if kind == "reward":
        return {"data": {"train": rankings(18), "valid": rankings(4)}, "inputs": {"model": base}}
    if kind == "ppo":
        return {
            "data": {"train": prompts(5), "valid": prompts(2)},
            "inputs": {"model": base, "reward": reward_model},
        }
    rows = [{"id": row["id"], "messages": row["messages"]} for row in demonstrations(10)]
    return {"data": {"train": rows, "valid": rows[:3]}}


def prepare_folder(folder: Path, kind: str) -> Path:
    if kind == "pretrain":
        (folder / "inputs" / "dataset").mkdir(parents=True)
        (folder / "inputs" / "dataset" / "text.txt").write_text(TEXT, encoding="utf-8")
    return folder


def die_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends right after the metric row of `step` was written, before any checkpoint of that step."""
    log = Reporter.log

    def log_and_die(self: Reporter, at: int, numbers: dict[str, float]) -> None:
        log(self, at, numbers)
        if at == step:
            raise Died

    monkeypatch.setattr(Reporter, "log", log_and_die)


def rows_without_times(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in read_rows(folder / name)]


def assert_same_run(one: Path, other: Path) -> None:
    last = max((p.name for p in one.glob("step-*")), key=lambda name: int(name[5:]))
    for name in ("model/model.safetensors", f"{last}/tensors.safetensors"):
        tensors, others = load_file(one / name), load_file(other / name)
        assert tensors.keys() == others.keys()
        assert [key for key in tensors if not tensors[key].equal(others[key])] == []
    states = [json.loads((folder / last / "state.json").read_text()) for folder in (one, other)]
    for state in states:
        state["numbers"].pop("last_row")
    assert states[0] == states[1]
    assert rows_without_times(one) == rows_without_times(other)
    assert rows_without_times(one, "samples.jsonl") == rows_without_times(other, "samples.jsonl")


@pytest.mark.parametrize("kind", STAGES)
def test_a_resumed_run_equals_one_that_never_stopped(
    kind: str, base: Path, reward_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**PRESETS["test"][kind], **STAGES[kind], "save_every": 2, "sample_every": 2, "eval_every": 3}
    options = options_of(kind, base, reward_model)
    whole = run_it(prepare_folder(tmp_path / "whole", kind), kind, config, **options)

    broken = prepare_folder(tmp_path / "broken", kind)
    with monkeypatch.context() as patch:
        die_after(5, patch)
        assert main([kind, str(make_run(broken, kind, config, **options))]) == 1
    assert [row["step"] for row in read_rows(broken / "metrics.jsonl")][-1] == 5
    run_it(broken, kind, config, **options, resume_from="step-4")

    assert_same_run(whole, broken)


def test_a_supervisor_may_move_the_checkpoint_to_a_new_attempt(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**PRESETS["test"]["sft"], "save_every": 2}
    options = options_of("sft", base, base)
    whole = run_it(tmp_path / "whole", "sft", config, **options)
    with monkeypatch.context() as patch:
        die_after(3, patch)
        assert main(["sft", str(make_run(tmp_path / "first", "sft", config, **options))]) == 1
    second = tmp_path / "second"
    make_run(second, "sft", config, **options)
    shutil.copytree(tmp_path / "first" / "step-2", second / "inputs" / "checkpoint")
    for name in ("metrics.jsonl", "samples.jsonl"):
        shutil.copy(tmp_path / "first" / name, second / name)
    # Hashes of the checkpoint's files and a smaller micro-batch do not make it another run.
    run_it(second, "sft", {**config, "keep_checkpoints": 3}, **options, resume_from="step-2", attempt=2)
    assert_same_run(whole, second)


def test_kill_minus_nine_and_resume(base: Path, tmp_path: Path) -> None:
    """The real thing: a child process, SIGKILL whenever it happens to be past its first checkpoint, and a second child."""
    config = {
        **PRESETS["test"]["sft"],
        "epochs": 60,
        "save_every": 5,
        "sample_every": 1000,
        "eval_every": 1000,
    }
    options = options_of("sft", base, base)
    whole = run_it(tmp_path / "whole", "sft", config, **options)
    broken = tmp_path / "broken"
    child = start_child("sft", make_run(broken, "sft", config, **options))
    wait_until(lambda: (broken / "step-5").exists() or child.poll() is not None)
    child.kill()
    child.wait()
    assert not (broken / "result.json").exists(), "it finished before it was killed: make the run longer"
    newest = max((int(p.name[5:]) for p in broken.glob("step-*") if p.suffix == ""), default=0)
    child = start_child("sft", make_run(broken, "sft", config, **options, resume_from=f"step-{newest}"))
    assert child.wait() == 0
    assert_same_run(whole, broken)


def test_sigterm_leaves_a_checkpoint_and_exit_code_143(base: Path, tmp_path: Path) -> None:
    config = {
        **PRESETS["test"]["sft"],
        "epochs": 1000,
        "save_every": 100_000,
        "sample_every": 100_000,
        "eval_every": 100_000,
    }
    child = start_child("sft", make_run(tmp_path, "sft", config, **options_of("sft", base, base)))
    wait_until(lambda: len(read_rows(tmp_path / "metrics.jsonl")) > 3 or child.poll() is not None)
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 143
    steps = [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")]
    assert (tmp_path / f"step-{steps[-1]}" / "MANIFEST.json").exists()
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "error.json").exists()
    assert not (tmp_path / "model").exists()


def test_the_child_leaves_when_its_supervisor_is_gone(base: Path, tmp_path: Path) -> None:
    config = {
        **PRESETS["test"]["sft"],
        "epochs": 1000,
        "save_every": 100_000,
        "sample_every": 100_000,
        "eval_every": 100_000,
    }
    reading, writing = os.pipe()
    path = make_run(tmp_path, "sft", config, **options_of("sft", base, base))
    child = start_child("sft", path, pass_fds=(reading,), env={"PRECEPTOR_HELD_FD": str(reading)})
    os.close(reading)
    wait_until(lambda: len(read_rows(tmp_path / "metrics.jsonl")) > 1 or child.poll() is not None)
    os.close(writing)
    assert child.wait(timeout=10) == -signal.SIGKILL


def test_a_checkpoint_of_other_settings_is_refused(base: Path, tmp_path: Path) -> None:
    config, options = {**PRESETS["test"]["sft"], "save_every": 2}, options_of("sft", base, base)
    run_it(tmp_path, "sft", config, **options)
    name = next(tmp_path.glob("step-*")).name
    assert (
        main(["sft", str(make_run(tmp_path, "sft", {**config, "lr": 0.5}, **options, resume_from=name))]) == 1
    )
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "checkpoint_mismatch"


def test_a_damaged_checkpoint_is_refused(base: Path, tmp_path: Path) -> None:
    config, options = {**PRESETS["test"]["sft"], "save_every": 2}, options_of("sft", base, base)
    run_it(tmp_path, "sft", config, **options)
    step = next(tmp_path.glob("step-*"))
    data = bytearray((step / "tensors.safetensors").read_bytes())
    data[-5] ^= 1
    (step / "tensors.safetensors").write_bytes(data)
    assert main(["sft", str(make_run(tmp_path, "sft", config, **options, resume_from=step.name))]) == 1
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "checkpoint_damaged"


def test_a_torn_checkpoint_folder_has_no_final_name_and_is_no_obstacle(base: Path, tmp_path: Path) -> None:
    config, options = {**PRESETS["test"]["sft"], "save_every": 2}, options_of("sft", base, base)
    (tmp_path / "step-2.tmp").mkdir(parents=True)
    (tmp_path / "step-2.tmp" / "tensors.safetensors").write_bytes(b"half")
    run_it(tmp_path, "sft", {**config, "keep_checkpoints": 10}, **options)
    assert (tmp_path / "step-2" / "MANIFEST.json").exists()
    assert not (tmp_path / "step-2.tmp").exists()


def test_the_newest_checkpoints_are_kept(base: Path, tmp_path: Path) -> None:
    config = {**PRESETS["test"]["sft"], "epochs": 2, "save_every": 2, "keep_checkpoints": 2}
    run_it(tmp_path, "sft", config, **options_of("sft", base, base))
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-10", "step-8"]


def start_child(
    kind: str, run_json: Path, *, env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """`python -m training.core` as a supervisor starts it: a session of its own, one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "training.core", kind, str(run_json)], cwd=ROOT, start_new_session=True, pass_fds=pass_fds,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
