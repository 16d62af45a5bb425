"""RLOO as a run, and its estimator against its definition."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import tensor

from tests.training.core import oracles
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, load_run, prompts, write_rows
from training.core import losses
from training.core.config import PRESETS, RLOOConfig
from training.core.metrics import METRICS, TIMING_COLUMNS
from training.core.policy import Algorithm, load_actors
from training.core.report import read_rows
from training.core.rloo import RLOO

TEST = PRESETS["test"]["rloo"]


def run_rloo(folder: Path, base: Path, reward_model: Path, **settings: Any) -> list[dict[str, Any]]:
    data = {"train": prompts(5), "valid": prompts(3)}
    run_it(folder, "rloo", {**TEST, **settings}, data=data, inputs={"model": base, "reward": reward_model})
    return read_rows(folder / "metrics.jsonl")


def test_advantages_equal_their_definition() -> None:
    rewards = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for group in (2, 3, 4, 6, 12):
        found = losses.leave_one_out(rewards, group)
        assert found.tolist() == pytest.approx(oracles.leave_one_out(rewards.tolist(), group), abs=1e-12)
        assert float(found.sum()) == pytest.approx(0, abs=1e-12)


def test_advantages_by_hand() -> None:
    # Each of the first prompt against the mean of the two others: 3 - (1 + 2) / 2, and so on.
    found = losses.leave_one_out(tensor([3.0, 1.0, 2.0, 0.0, 0.0, 6.0]), 3)
    assert found.tolist() == [1.5, -1.5, 0.0, -3.0, -3.0, 6.0]


def test_an_answer_is_worth_its_score_less_the_price_of_its_whole_distance() -> None:
    logp, ref = (
        tensor([[-1.0, -2.0, 9.0], [-1.0, -1.0, -1.0]]),
        tensor([[-1.5, -1.0, 0.0], [-2.0, -2.0, -2.0]]),
    )
    mask = tensor([[1, 1, 0], [1, 1, 1]])
    found = losses.answer_rewards(logp, ref, tensor([3.0, 0.0]), mask, 0.1)
    assert found.tolist() == pytest.approx([3.0 - 0.1 * (0.5 - 1.0), -0.1 * 3.0])


def test_a_run_tells_all_its_numbers_and_is_on_policy(base: Path, reward_model: Path, tmp_path: Path) -> None:
    """E7 for RLOO, and no value network anywhere: not in the checkpoint, not in the optimizer."""
    rows = run_rloo(tmp_path, base, reward_model, lr=1e-3)
    told = {
        name
        for name in METRICS
        if name.startswith("rloo/") and not name.startswith(("rloo/final", "rloo/ptx", "rloo/judge"))
    }
    assert told <= set(rows[-1])
    assert {name.partition("/")[0] for name in rows[-1] if "/" in name} == {"rloo", "perf"}
    assert rows[0]["rloo/kl"] == 0
    assert max(row["rloo/first_ratio_error"] for row in rows) == 0
    assert max(row["rloo/engine_logprob_error"] for row in rows) <= 1e-5
    assert {row["rloo/optimizer_steps"] for row in rows} == {1}
    assert {row["rloo/clip_share"] for row in rows} == {0}
    tensors = load_file(next(tmp_path.glob("step-*")) / "tensors.safetensors")
    assert {name.split("/")[1] for name in tensors if name.startswith("module/")} == {"policy"}
    result = json.loads((tmp_path / "result.json").read_text())
    assert {"rloo/final_score", "rloo/final_kl"} <= set(result["metrics"])
    assert (result["kind"], result["role"]) == ("rloo", "policy")


def test_the_answers_of_a_group_are_to_one_prompt(base: Path, reward_model: Path, tmp_path: Path) -> None:
    groups: list[list[str]] = []

    def watched(scored: Any, kl_coef: float, cfg: Any) -> Any:
        groups.append([prompt.id for prompt in scored.rollout.prompts])
        assert len({tuple(answer) for answer in scored.rollout.answers}) > 1
        return RLOO.batch_of(scored, kl_coef, cfg)

    from training.core.policy import train_policy

    config = {**TEST, "episodes": 12, "samples_per_prompt": 3, "iterations": 3}
    run = load_run(
        tmp_path, "rloo", config, data={"train": prompts(5)}, inputs={"model": base, "reward": reward_model}
    )
    train_policy(run, Algorithm(watched, None), None)
    asked = [ids[::3] for ids in groups]
    assert [[one for one in ids for _ in range(3)] for ids in asked] == groups
    # Twelve groups in three iterations: two whole passes over the five prompts and two of the third.
    order = [one for ids in asked for one in ids]
    assert sorted(order[:5]) == sorted(order[5:10]) == sorted(set(order))


def test_more_than_one_step_a_rollout_is_clipped_by_the_answers_ratio(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    rows = run_rloo(
        tmp_path, base, reward_model, epochs=3, minibatches=2, lr=2e-2, iterations=2, no_eos_reward=None
    )
    assert {row["rloo/optimizer_steps"] for row in rows} == {6}
    assert [row["rloo/first_ratio_error"] for row in rows] == [0, 0]
    assert rows[-1]["rloo/clip_share"] > 0


def test_groups_have_to_fill_the_episodes() -> None:
    with pytest.raises(ValueError, match="multiple of samples_per_prompt"):
        RLOOConfig(episodes=10, samples_per_prompt=4)
    with pytest.raises(ValueError, match="at most episodes"):
        RLOOConfig(episodes=8, minibatches=9)


def test_no_value_network_is_loaded(base: Path, reward_model: Path, tmp_path: Path) -> None:
    run = load_run(
        tmp_path, "rloo", TEST, data={"train": prompts(2)}, inputs={"model": base, "reward": reward_model}
    )
    actors = load_actors(run, torch.device("cpu"), RLOO, None)
    assert actors.value is None
    assert set(actors.trained) == {"policy"}


def test_a_resumed_run_with_text_and_rules_equals_one_that_never_stopped(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """E8: a second attempt from the middle. Text, moving averages and the rules' memory go on where they were."""
    write_rows(tmp_path / "texts" / "train.jsonl", demonstrations(5))
    inputs = {"model": base, "reward": reward_model, "pretraining": tmp_path / "texts"}
    config = {
        **TEST, "iterations": 6, "epochs": 2, "minibatches": 2, "lr": 1e-3, "keep_checkpoints": 10, "ema_decay": 0.9, "ptx_coef": 0.5,
        "ptx_ratio": 2, "score_drop_limit": 100.0, "length_drift_limit": 100.0, "kl_target": 0.01,
    }  # fmt: skip
    options: dict[str, Any] = {"data": {"train": prompts(5)}, "inputs": inputs}
    whole = run_it(tmp_path / "whole", "rloo", config, **options)
    again = tmp_path / "again"
    shutil.copytree(whole / "step-2", again / "step-2")
    for name in ("metrics.jsonl", "samples.jsonl"):
        shutil.copy(whole / name, again / name)
    run_it(again, "rloo", config, **options, resume_from="step-2")
    for name in ("model", "policy_last"):
        one, other = (load_file(folder / name / "model.safetensors") for folder in (whole, again))
        assert [key for key in one if not torch.equal(one[key], other[key])] == []
    rows = [
        [
            {k: v for k, v in row.items() if k not in TIMING_COLUMNS}
            for row in read_rows(folder / "metrics.jsonl")
        ]
        for folder in (whole, again)
    ]
    assert rows[0] == rows[1]
