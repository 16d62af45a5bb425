"""A run that cannot be done says why in error.json, with a stable code and a remedy, and publishes nothing."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.core.conftest import Error, run_it, told
from tests.training.core.forks import Forks
from tests.training.core.rundirs import demonstrations, make_run, prompts, rankings, write_rows
from tests.training.core.stages import STAGES
from training.core.__main__ import main
from training.core.config import PRESETS

ROOT = Path(__file__).parents[3]
TEST = PRESETS["test"]


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
def test_a_bad_run_json_names_the_field(
    fields: dict[str, Any], word: str, tmp_path: Path, forks: Forks
) -> None:
    path = make_run(tmp_path, "sft", TEST["sft"])
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}), encoding="utf-8")
    error = told(tmp_path, forks.run("sft", path))
    assert error["code"] == "bad_run"
    assert word in error["message"]


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(
    "config", [{"learning_rate": 1}, {"lr": 1e6}, {"lr": "fast"}, {"lr": True}, {"lr": None}]
)
def test_a_bad_config_names_the_setting(
    config: dict[str, Any], name: str, tmp_path: Path, error_of: Error
) -> None:
    error = error_of(tmp_path, STAGES[name].kind, config)
    assert error["code"] == "bad_config"
    assert next(iter(config)) in error["message"]
    assert "Remedy" in error["message"]


def test_a_missing_input(tmp_path: Path, error_of: Error) -> None:
    assert error_of(tmp_path, "sft", inputs={"model": tmp_path / "nowhere"})["code"] == "input_missing"


def test_an_input_that_changed_since_the_run_was_made(base: Path, tmp_path: Path, error_of: Error) -> None:
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
        tmp_path / "changed",
        "sft",
        data=data,
        inputs={"model": base},
        sha256={"inputs/dataset/train.jsonl": "0" * 64},
    )
    assert error["code"] == "input_changed"
    assert "inputs/dataset/train.jsonl" in error["message"]


@pytest.mark.parametrize("name", STAGES)
def test_weights_that_changed_since_the_run_was_made(
    name: str, models: dict[str, Path], tmp_path: Path, forks: Forks
) -> None:
    stage = STAGES[name]
    for role in stage.inputs:
        changed = f"inputs/{role}/model.safetensors"
        path = stage.write(tmp_path, models, {}, sha256={changed: "0" * 64})
        error = told(tmp_path, forks.run(stage.kind, path))
        assert error["code"] == "input_changed"
        assert changed in error["message"]


@pytest.mark.parametrize("name", STAGES)
def test_an_empty_dataset(name: str, models: dict[str, Path], tmp_path: Path, forks: Forks) -> None:
    stage = replace(STAGES[name], data={"train": []}, texts={})
    error = told(tmp_path, forks.run(stage.kind, stage.write(tmp_path, models, {})))
    assert error["code"] == "empty_dataset"


def test_rankings_that_are_all_tied_are_counted_in_the_message(
    base: Path, tmp_path: Path, error_of: Error
) -> None:
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
    rows[5]["copies"], rows[6]["copies"] = 2, 0
    shown = demonstrations(3)
    shown[1]["messages"][-1]["content"] = "word " * 300
    write_rows(tmp_path / "shown" / "train.jsonl", shown)
    folder = run_it(
        tmp_path,
        "reward",
        TEST["reward"],
        data={"train": rows, "valid": rows[:1]},
        inputs={"model": base, "demonstrations": tmp_path / "shown"},
    )
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["dropped"] == {
        "rankings_all_tied": 1, "rankings_too_small": 1, "answers_too_long": 1, "answers_without_rank": 1, "valid_rankings_all_tied": 1,
        "answers_copied": 2, "demonstrations_too_long": 1,
    }  # fmt: skip
    assert result["rankings"] == 6


@pytest.mark.parametrize(
    ("name", "reason"),
    [("sft with dropout", "too_long"), ("reward", "answers_too_long"), ("ppo", "prompts_too_long")],
)
def test_nothing_that_fits_into_the_context_is_an_error_that_counts(
    name: str, reason: str, models: dict[str, Path], tmp_path: Path, forks: Forks
) -> None:
    rows = copy.deepcopy(STAGES[name].data["train"])
    for row in rows:
        (row["messages"] if "messages" in row else row["prompt"])[0]["content"] = "word " * 300
    stage = replace(STAGES[name], data={"train": rows})
    error = told(tmp_path, forks.run(stage.kind, stage.write(tmp_path, models, {})))
    assert error["code"] == "empty_dataset"
    assert f"{reason}: " in error["message"]


def test_long_prompts_are_dropped_and_counted_and_all_of_them_is_an_error(
    base: Path, reward_model: Path, tmp_path: Path, error_of: Error, capfd: pytest.CaptureFixture[str]
) -> None:
    long = {"id": "long", "prompt": [{"role": "user", "content": "word " * 300}]}
    inputs = {"model": base, "reward": reward_model}
    folder = run_it(tmp_path / "some", "ppo", TEST["ppo"], data={"train": [*prompts(4), long]}, inputs=inputs)
    assert json.loads((folder / "result.json").read_text())["dropped"] == {"prompts_too_long": 1}
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"Done: {folder / 'model'}; numbers in {folder / 'result.json'}"
    error = error_of(tmp_path / "all", "ppo", data={"train": [long]}, inputs=inputs)
    assert error["code"] == "empty_dataset"
    assert "prompts_too_long: 1" in error["message"]
    assert error["remedy"].startswith("Lower max_new_tokens")  # Higher limits would leave even less room.


@pytest.mark.parametrize(
    "row",
    ['{"id": "1"}', "[]", "{", '{"id": "1", "messages": [{"role": "user"}]}', '{"id": "1", "messages": [{"role": "wizard", "content": "x"}, {"role": "assistant", "content": "y"}]}'],
)  # fmt: skip
def test_a_malformed_row_is_named_by_file_and_line(
    row: str, base: Path, tmp_path: Path, forks: Forks
) -> None:
    path = make_run(tmp_path, "sft", TEST["sft"], data={"train": demonstrations(2)}, inputs={"model": base})
    with (tmp_path / "inputs/dataset/train.jsonl").open("a") as file:
        file.write(row + "\n")
    error = told(tmp_path, forks.run("sft", path))
    assert error["code"] == "bad_dataset"
    assert "train.jsonl line 3" in error["message"]


@pytest.mark.parametrize("row", [b'{"id": "1", "messages": "\xff"}', b'{"id": "1", "messages": "\\uD800"}'])
def test_a_row_that_is_no_text_is_named_by_file_and_line(
    row: bytes, base: Path, tmp_path: Path, forks: Forks
) -> None:
    path = make_run(tmp_path, "sft", TEST["sft"], data={"train": demonstrations(2)}, inputs={"model": base})
    with (tmp_path / "inputs/dataset/train.jsonl").open("ab") as file:
        file.write(row + b"\n")
    error = told(tmp_path, forks.run("sft", path))
    assert error["code"] == "bad_dataset"
    assert "train.jsonl line 3 is not UTF-8" in error["message"]
    assert "UTF-8" in error["remedy"]


def test_a_text_that_is_not_utf8_is_named_by_file_and_line(tmp_path: Path, forks: Forks) -> None:
    path = STAGES["pretrain"].write(tmp_path, {}, {})
    (tmp_path / "inputs/dataset/text.txt").write_bytes("one\ntwo\nna\u00efve\n".encode("latin-1"))
    error = told(tmp_path, forks.run("pretrain", path))
    assert error["code"] == "bad_dataset"
    assert "text.txt line 3 is not UTF-8" in error["message"]


@pytest.mark.parametrize("kind", ["reward", "dpo"])
def test_rankings_of_no_weight_at_all_teach_nothing(
    kind: str, base: Path, tmp_path: Path, error_of: Error
) -> None:
    rows = [row | {"weight": 0} for row in rankings(4)]
    error = error_of(tmp_path, kind, data={"train": rows}, inputs={"model": base})
    assert error["code"] == "bad_dataset"
    assert "train.jsonl" in error["message"]
    assert "weight" in error["remedy"]


def test_token_ids_outside_the_vocabulary(base: Path, tmp_path: Path, error_of: Error) -> None:
    rows = rankings(2)
    rows[1]["responses"][0]["token_ids"] = [5, 99_999]
    assert error_of(tmp_path, "reward", data={"train": rows}, inputs={"model": base})["code"] == "bad_dataset"


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


def test_a_run_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sft", "nowhere/run.json"]) == 2
    assert capsys.readouterr().err == "There is no file nowhere/run.json.\n"


def test_a_wrong_setting_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sft", str(make_run(tmp_path, "sft", {"lr": 7}))]) == 1
    told = json.loads((tmp_path / "error.json").read_text(encoding="utf-8"))
    assert capsys.readouterr().err == f"{told['code']}: {told['message']}\n{told['remedy']}\n"


def test_an_earlier_outcome_in_the_folder_does_not_survive_a_new_start(
    base: Path, tmp_path: Path, error_of: Error
) -> None:
    (tmp_path / "model").mkdir()
    write_rows(tmp_path / "result.json", [{}])
    error = error_of(tmp_path, "sft", data={"train": []}, inputs={"model": base})
    assert error["code"] == "empty_dataset"


@pytest.mark.parametrize(
    ("kind", "change"),
    [("reward", {}), ("sft", {"config": {"lrr": 1}}), ("sft", {"inputs": {"model": "nowhere"}})],
)
def test_a_command_that_cannot_begin_takes_nothing_away(
    kind: str, change: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    """The wrong stage, a mistyped setting, an input that is gone: the finished model of the folder stays, with its result."""
    run_it(tmp_path, "sft", TEST["sft"], data={"train": demonstrations(4)}, inputs={"model": base})
    before = {path: path.read_bytes() for path in (*(tmp_path / "model").iterdir(), tmp_path / "result.json")}
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}), encoding="utf-8")
    assert main([kind, str(path)]) == 1
    assert json.loads((tmp_path / "error.json").read_text())["code"] in (
        "bad_run",
        "bad_config",
        "input_missing",
    )
    assert {path: path.read_bytes() for path in before} == before
