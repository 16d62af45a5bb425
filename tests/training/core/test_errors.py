"""A run that cannot be done says why in error.json, with a stable code and a remedy, and publishes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference.engine.models import load_scalar, save_scalar
from inference.engine.tokenizer import train_tokenizer
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, make_run, prompts, rankings, write_rows
from training.core import sft
from training.core.__main__ import main
from training.core.config import PRESETS

ROOT = Path(__file__).parents[3]
TEST = PRESETS["test"]


def error_of(folder: Path, kind: str, config: dict[str, Any] | None = None, **options: Any) -> dict[str, str]:
    """Run, insist on exit code 1 and on nothing published, and return error.json."""
    assert main([kind, str(make_run(folder, kind, TEST[kind] if config is None else config, **options))]) == 1
    assert not (folder / "result.json").exists()
    assert not (folder / "model").exists()
    error: dict[str, str] = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    assert set(error) == {"code", "message", "remedy"}
    assert all(error.values())
    return error


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"schema": 2}, "schema"),
        ({"kind": "dpo"}, "kind"),
        ({"seed": "1"}, "seed"),
        ({"seed": -1}, "seed"),
        ({"device": "tpu"}, "device"),
        ({"extra": 1}, "extra"),
        ({"inputs": {"model": "../model"}}, "inputs.model"),
        ({"inputs": {"model": "/etc"}}, "inputs.model"),
        ({"config": []}, "config"),
    ],
)
def test_a_bad_run_json_names_the_field(fields: dict[str, Any], word: str, tmp_path: Path) -> None:
    path = make_run(tmp_path, "sft", TEST["sft"])
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}), encoding="utf-8")
    assert main(["sft", str(path)]) == 1
    error = json.loads((tmp_path / "error.json").read_text(encoding="utf-8"))
    assert error["code"] == "bad_run"
    assert word in error["message"]


@pytest.mark.parametrize(
    "config", [{"learning_rate": 1}, {"lr": 2.0}, {"lr": "fast"}, {"epochs": True}, {"epochs": None}]
)
def test_a_bad_config_names_the_setting(config: dict[str, Any], tmp_path: Path) -> None:
    error = error_of(tmp_path, "sft", config)
    assert error["code"] == "bad_config"
    assert next(iter(config)) in error["message"]


def test_a_missing_input(tmp_path: Path) -> None:
    assert error_of(tmp_path, "sft", inputs={"model": tmp_path / "nowhere"})["code"] == "input_missing"


def test_an_input_that_changed_since_the_run_was_made(base: Path, tmp_path: Path) -> None:
    data = {"train": demonstrations(4)}
    make_run(tmp_path, "sft", TEST["sft"], data=data, inputs={"model": base})
    good = hashlib.sha256((tmp_path / "inputs/dataset/train.jsonl").read_bytes()).hexdigest()
    run_it(
        tmp_path,
        "sft",
        TEST["sft"],
        data=data,
        inputs={"model": base},
        sha256={"inputs/dataset/train.jsonl": good},
    )
    error = error_of(
        tmp_path, "sft", data=data, inputs={"model": base}, sha256={"inputs/dataset/train.jsonl": "0" * 64}
    )
    assert error["code"] == "input_changed"
    assert "inputs/dataset/train.jsonl" in error["message"]


@pytest.mark.parametrize("kind", ["sft", "reward", "ppo", "pretrain"])
def test_an_empty_dataset(kind: str, base: Path, reward_model: Path, tmp_path: Path) -> None:
    error = error_of(tmp_path, kind, data={"train": []}, inputs={"model": base, "reward": reward_model})
    assert error["code"] == "empty_dataset"


def test_rankings_that_are_all_tied_are_counted_in_the_message(base: Path, tmp_path: Path) -> None:
    rows = rankings(3)
    for row in rows:
        row["ranks"] = dict.fromkeys(row["ranks"], 1)
    error = error_of(tmp_path, "reward", data={"train": rows}, inputs={"model": base})
    assert error["code"] == "empty_dataset"
    assert "rankings_all_tied: 3" in error["message"]


def test_what_is_dropped_is_counted_in_the_result(base: Path, tmp_path: Path) -> None:
    rows = rankings(8)
    rows[0]["ranks"] = dict.fromkeys(rows[0]["ranks"], 1)
    rows[1]["responses"] = rows[1]["responses"][:1]
    rows[2]["responses"][0]["content"] = "word " * 300
    del rows[4]["ranks"]["r0"]
    folder = run_it(
        tmp_path, "reward", TEST["reward"], data={"train": rows, "valid": rows[:1]}, inputs={"model": base}
    )
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["dropped"] == {
        "rankings_all_tied": 1, "rankings_too_small": 1, "answers_too_long": 1, "answers_without_rank": 1, "valid_rankings_all_tied": 1,
    }  # fmt: skip
    assert result["rankings"] == 6


def test_long_prompts_are_dropped_and_counted_and_all_of_them_is_an_error(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    long = {"id": "long", "prompt": [{"role": "user", "content": "word " * 300}]}
    inputs = {"model": base, "reward": reward_model}
    folder = run_it(tmp_path / "some", "ppo", TEST["ppo"], data={"train": [*prompts(4), long]}, inputs=inputs)
    assert json.loads((folder / "result.json").read_text())["dropped"] == {"prompts_too_long": 1}
    error = error_of(tmp_path / "all", "ppo", data={"train": [long]}, inputs=inputs)
    assert error["code"] == "empty_dataset"
    assert "prompts_too_long: 1" in error["message"]


@pytest.mark.parametrize(
    "row",
    ['{"id": "1"}', "[]", "{", '{"id": "1", "messages": [{"role": "user"}]}', '{"id": "1", "messages": [{"role": "wizard", "content": "x"}, {"role": "assistant", "content": "y"}]}'],
)  # fmt: skip
def test_a_malformed_row_is_named_by_file_and_line(row: str, base: Path, tmp_path: Path) -> None:
    path = make_run(tmp_path, "sft", TEST["sft"], data={"train": demonstrations(2)}, inputs={"model": base})
    with (tmp_path / "inputs/dataset/train.jsonl").open("a") as file:
        file.write(row + "\n")
    assert main(["sft", str(path)]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["code"] == "bad_dataset"
    assert "train.jsonl line 3" in error["message"]


def test_token_ids_outside_the_vocabulary(base: Path, tmp_path: Path) -> None:
    rows = rankings(2)
    rows[1]["responses"][0]["token_ids"] = [5, 99_999]
    assert error_of(tmp_path, "reward", data={"train": rows}, inputs={"model": base})["code"] == "bad_dataset"


def test_policy_and_reward_model_of_different_tokenizers(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    model, _ = load_scalar(reward_model)
    save_scalar(model, train_tokenizer(["quite other words, these zebras"], 300), tmp_path / "other")
    error = error_of(
        tmp_path / "run",
        "ppo",
        data={"train": prompts(4)},
        inputs={"model": base, "reward": tmp_path / "other"},
    )
    assert error["code"] == "tokenizer_mismatch"


def test_a_policy_is_no_reward_model(base: Path, tmp_path: Path) -> None:
    error = error_of(tmp_path, "ppo", data={"train": prompts(4)}, inputs={"model": base, "reward": base})
    assert error["code"] == "bad_model"


def test_a_model_folder_with_code_in_it_is_not_loaded(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "evil")
    (tmp_path / "evil" / "modeling.py").write_text("raise SystemExit", encoding="utf-8")
    error = error_of(
        tmp_path / "run", "sft", data={"train": demonstrations(2)}, inputs={"model": tmp_path / "evil"}
    )
    assert error["code"] == "bad_model"


@pytest.mark.parametrize("kind", ["sft", "reward", "ppo"])
def test_numbers_that_are_none_stop_the_run(
    kind: str, base: Path, reward_model: Path, tmp_path: Path
) -> None:
    data = {"sft": demonstrations(16), "reward": rankings(16), "ppo": prompts(4)}[kind]
    hot_policy, hot_reward = (
        poisoned_copy(base, tmp_path / "policy"),
        poisoned_copy(reward_model, tmp_path / "reward"),
    )
    inputs = {"model": base if kind == "ppo" else hot_policy, "reward": hot_reward}
    assert error_of(tmp_path / "run", kind, data={"train": data}, inputs=inputs)["code"] == "nan_loss"


def poison(folder: Path) -> None:
    """Weights so large that the network overflows to inf and NaN."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = next(n for n in tensors if n.endswith("ln_f.weight"))
    tensors[name] = tensors[name] * float("inf")
    save_file(tensors, path, metadata={"format": "pt"})


def poisoned_copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    poison(target)
    return target


def test_the_last_good_checkpoint_stays_when_training_diverges(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is fine for two steps and overflows in the third, as a rate that is too high makes it."""
    calls = iter(range(1000))
    real = sft.rows_nll
    config = {**TEST["sft"], "save_every": 1, "keep_checkpoints": 10}
    with monkeypatch.context() as patch:
        patch.setattr(sft, "rows_nll", lambda *a: real(*a) * (1.0 if next(calls) < 2 else float("inf")))
        error = error_of(tmp_path, "sft", config, data={"train": demonstrations(16)}, inputs={"model": base})
    assert error["code"] == "nan_loss"
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-1", "step-2"]
    run_it(
        tmp_path,
        "sft",
        config,
        data={"train": demonstrations(16)},
        inputs={"model": base},
        resume_from="step-2",
    )


def test_a_full_disk_is_told_and_nothing_is_published(base: Path, tmp_path: Path) -> None:
    """A real limit on a real child: files may not grow past 60 kB, so the first checkpoint can't be written."""
    path = make_run(tmp_path, "sft", TEST["sft"], data={"train": demonstrations(8)}, inputs={"model": base})
    child = subprocess.run(
        [sys.executable, "-m", "training.core", "sft", str(path)], cwd=ROOT, check=False, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )  # fmt: skip
    assert child.returncode == 1, child.stderr[-2000:]
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "disk_full"
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("step-*/MANIFEST.json"))


def test_a_bad_run_is_told_without_loading_torch(tmp_path: Path) -> None:
    path = make_run(tmp_path, "sft", {"lr": 7})
    code = f"import sys; from training.core.__main__ import main; assert main(['sft', {str(path)!r}]) == 1; assert 'torch' not in sys.modules"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True).returncode
        == 0
    )


def test_the_command_line_explains_itself() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "training.core"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert child.returncode == 2
    assert "python -m training.core" in child.stderr


def test_an_earlier_outcome_in_the_folder_does_not_survive_a_new_start(base: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_rows(tmp_path / "result.json", [{}])
    error_of(tmp_path, "sft", {"lr": 7.0}, data={"train": demonstrations(2)}, inputs={"model": base})
