"""Which step's weights are published: the rule, that both criteria are told, and that a resumed run chooses the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, make_run
from training.core import choice
from training.core.__main__ import main
from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.metrics import TIMING_COLUMNS
from training.core.report import read_rows


def measured(select: str, rows: list[dict[str, float]]) -> tuple[int, float, dict[str, float]]:
    """The step that the rule chooses, the weight it had there, and its numbers."""
    model, kept = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    modules: dict[str, nn.Module] = {"model": model}
    if select != "last":
        modules["chosen"] = kept
    state = TrainingState(modules=modules, optimizer=torch.optim.SGD(model.parameters()))
    for step, row in enumerate(rows):
        nn.init.constant_(model.weight, step + 1.0)
        state.step = step
        choice.consider(state, row, SFTConfig(select=select))
        state.step += 1
    published, step, numbers = choice.chosen(state, rows[-1])
    return step, float(published.state_dict()["weight"]), numbers


def test_the_best_measured_step_is_chosen_and_the_first_of_equals() -> None:
    """Overfitted by loss after step 2, and still liked better: InstructGPT's reason to choose by reward."""
    rows = [
        {"sft/valid_nll": nll, "sft/valid_reward": reward}
        for nll, reward in ((2.0, -1.0), (1.5, 0.5), (1.5, 2.0), (1.8, 2.0), (1.9, 1.0))
    ]
    assert measured("last", rows) == (5, 5.0, rows[4])
    assert measured("valid_loss", rows) == (2, 2.0, rows[1])
    assert measured("reward", rows) == (3, 3.0, rows[2])


CONFIG: dict[str, Any] = {
    "epochs": 3, "batch_size": 4, "lr": 3e-2, "lr_schedule": "constant", "eval_every": 1, "save_every": 1, "sample_every": 100,
    "sample_tokens": 8, "reward_tokens": 12, "reward_prompts": 4, "dropout": 0.1, "select": "reward", "keep_checkpoints": 100,
}  # fmt: skip
DATA = {"train": demonstrations(12), "valid": demonstrations(6)}
# It fits with its own answer of eight tokens, and not with the twelve that the reward model would read.
DATA["valid"][1]["messages"][0]["content"] += " word" * 23


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def run(base: Path, reward_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = {"model": base, "reward": reward_model}
    return run_it(tmp_path_factory.mktemp("chosen"), "sft", CONFIG, data=DATA, inputs=inputs)


def test_the_chosen_step_is_published_with_its_numbers(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    rows = {row["step"]: row for row in read_rows(run / "metrics.jsonl")}
    assert len(rows) == 10  # Step 0 is told, for the start of the curve, and can't be chosen.
    rewards = {step: row["sft/valid_reward"] for step, row in rows.items() if step}
    assert len(set(rewards.values())) > 1
    assert result["dropped"] == {"judge_prompts_too_long": 1}
    best = max(rewards, key=lambda step: (rewards[step], -step))
    assert (result["select"], result["chosen_step"], result["steps"]) == ("reward", best, 9)
    for name in ("sft/valid_reward", "sft/valid_nll", "sft/loss"):
        assert result["metrics"][name] == rows[best][name]
    there = load_file(run / f"step-{best}" / "tensors.safetensors")
    published = weights_of(run)
    assert all(torch.equal(there[f"module/model/{name}"], x) for name, x in published.items())


def test_a_resumed_run_chooses_the_same_weights(
    run: Path, base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """From before the best step and from after it, where the weights are in the checkpoint alone."""
    for checkpoint in ("step-2", "step-8"):
        folder = tmp_path / checkpoint
        path = make_run(
            folder, "sft", CONFIG, data=DATA, inputs={"model": base, "reward": reward_model, "checkpoint": run / checkpoint},
            resume_from=checkpoint,
        )  # fmt: skip
        (folder / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes())
        assert main(["sft", str(path)]) == 0
        for one, other in zip(
            read_rows(run / "metrics.jsonl"), read_rows(folder / "metrics.jsonl"), strict=True
        ):
            assert {k: v for k, v in one.items() if k not in TIMING_COLUMNS} == {
                k: v for k, v in other.items() if k not in TIMING_COLUMNS
            }
        mine, theirs = weights_of(run), weights_of(folder)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
        assert (
            json.loads((folder / "result.json").read_text())["chosen_step"]
            == json.loads((run / "result.json").read_text())["chosen_step"]
        )


@pytest.mark.parametrize(
    ("config", "data", "words"),
    [
        ({"select": "reward"}, DATA, "inputs.reward"),
        ({"select": "valid_loss"}, {"train": DATA["train"]}, "valid.jsonl"),
    ],
)
def test_a_criterion_that_cannot_be_measured_is_refused(
    base: Path, tmp_path: Path, config: dict[str, Any], data: Any, words: str
) -> None:
    assert main(["sft", str(make_run(tmp_path, "sft", config, data=data, inputs={"model": base}))]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert words in error["message"] + error["remedy"]
    assert not (tmp_path / "model").exists()


def test_measuring_by_another_interval_is_another_run(
    run: Path, base: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = {"model": base, "reward": reward_model, "checkpoint": run / "step-2"}
    path = make_run(
        tmp_path, "sft", {**CONFIG, "eval_every": 2}, data=DATA, inputs=inputs, resume_from="step-2"
    )
    assert main(["sft", str(path)]) == 1
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "checkpoint_mismatch"
