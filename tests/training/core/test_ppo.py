"""PPO as a run: what it publishes, when it stops, and that what must stay fixed does."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from inference.engine.models import load_policy, load_scalar
from tests.training.core.conftest import run_it
from tests.training.core.enumerable import PROMPTS, T, V, prompt_rows, write_model
from tests.training.core.rundirs import load_run, moved_model, prompts, with_dropout
from training.core.config import PRESETS
from training.core.data import Prompt
from training.core.metrics import METRICS
from training.core.policy import load_actors, move_average
from training.core.ppo import PPO, train_ppo
from training.core.report import read_rows
from training.core.rloo import train_rloo

TEST = PRESETS["test"]["ppo"]


def run_ppo(folder: Path, base: Path, reward_model: Path, **settings: Any) -> list[dict[str, Any]]:
    data = {"train": prompts(5), "valid": prompts(3)}
    run_it(folder, "ppo", {**TEST, **settings}, data=data, inputs={"model": base, "reward": reward_model})
    return read_rows(folder / "metrics.jsonl")


def test_a_run_tells_all_its_numbers_and_leaves_its_inputs_alone(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    before = {
        path: hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
        for path in (base, reward_model)
    }
    rows = run_ppo(tmp_path, base, reward_model)
    told = {
        name
        for name in METRICS
        if name.startswith("ppo/") and not name.startswith(("ppo/final", "ppo/ptx", "ppo/judge"))
    }
    assert told <= set(rows[-1])
    assert rows[0]["ppo/kl"] == 0  # The policy starts as its reference.
    assert max(row["ppo/first_ratio_error"] for row in rows) == 0
    assert max(row["ppo/engine_logprob_error"] for row in rows) <= 1e-5
    result = json.loads((tmp_path / "result.json").read_text())
    assert {"ppo/final_score", "ppo/final_kl"} <= set(result["metrics"])
    after = {path: hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest() for path in before}
    assert before == after
    samples = read_rows(tmp_path / "samples.jsonl")
    assert set(samples[0]) == {"step", "prompt", "text", "reward", "kl"}


def test_the_policy_learns_to_end_its_answers(base: Path, reward_model: Path, tmp_path: Path) -> None:
    """Unfinished answers cost 1: in 40 small iterations a random model finds out."""
    settings = {
        "iterations": 40,
        "episodes": 32,
        "epochs": 2,
        "lr": 3e-3,
        "value_lr": 3e-3,
        "kl_coef": 0.01,
        "save_every": 100,
    }
    rows = run_ppo(tmp_path, base, reward_model, **settings, no_eos_reward=-5.0, sample_every=100)
    assert rows[0]["ppo/no_eos_share"] > 0.9
    assert rows[-1]["ppo/no_eos_share"] < 0.3
    assert rows[-1]["ppo/score"] > rows[0]["ppo/score"] + 3


def test_dropout_of_the_folders_config_reaches_no_log_probability(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """E7: neither the old ones, nor the new ones, nor the reference's."""
    rows = run_ppo(tmp_path, with_dropout(base, tmp_path / "dropping"), reward_model, iterations=2)
    assert [row["ppo/first_ratio_error"] for row in rows] == [0, 0]
    assert rows[0]["ppo/kl"] == 0
    assert max(row["ppo/engine_logprob_error"] for row in rows) <= 1e-5


def test_value_network_and_reward_model_start_alike_and_without_dropout(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    inputs = {"model": with_dropout(base, tmp_path / "dropping"), "reward": reward_model}
    run = load_run(tmp_path / "run", "ppo", TEST, data={"train": prompts(2)}, inputs=inputs)
    actors = load_actors(run, torch.device("cpu"), PPO, None)
    reward, _ = load_scalar(reward_model)
    assert actors.value is not None
    assert actors.value.shift == reward.shift != 0
    for one, other in zip(actors.value.parameters(), reward.parameters(), strict=True):
        assert torch.equal(one, other)
    ids = torch.tensor([[9, 8, 7]])
    actors.policy.train()
    assert torch.equal(actors.policy(input_ids=ids).logits, actors.policy(input_ids=ids).logits)


def test_a_new_value_head_says_zero(base: Path, tmp_path: Path) -> None:
    run = load_run(tmp_path, "ppo", TEST, data={"train": prompts(2)}, inputs={"model": base})
    actors = load_actors(run, torch.device("cpu"), PPO, lambda _prompts, answers: [0.0] * len(answers))
    ids = torch.tensor([[9, 8, 7]])
    assert actors.value is not None
    assert (actors.value(ids, torch.ones_like(ids)) == 0).all()


def test_the_average_is_what_is_published_and_the_last_policy_lies_beside(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    run_ppo(tmp_path, base, reward_model, ema_decay=0.5, save_every=1, keep_checkpoints=10, lr=1e-2)
    start = load_file(base / "model.safetensors")
    name = "transformer.h.0.mlp.c_fc.weight"
    average = start[name]
    for step in range(1, 5):
        average = (
            0.5 * average
            + 0.5 * load_file(tmp_path / f"step-{step}" / "tensors.safetensors")[f"module/policy/{name}"]
        )
    torch.testing.assert_close(load_file(tmp_path / "model" / "model.safetensors")[name], average)
    last = load_file(tmp_path / "step-4" / "tensors.safetensors")[f"module/policy/{name}"]
    assert torch.equal(load_file(tmp_path / "policy_last" / "model.safetensors")[name], last)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["model"], result["role"], result["also"]["policy"]["model"]) == (
        "model",
        "ema",
        "policy_last",
    )
    assert result["also"]["policy"]["metrics"]["ppo/final_kl"] != result["metrics"]["ppo/final_kl"]
    roles = [
        json.loads((tmp_path / folder / "lineage.json").read_text())["role"]
        for folder in ("model", "policy_last")
    ]
    assert roles == ["ema", "policy"]


def test_the_rates_warm_up_each_to_its_own_peak(base: Path, reward_model: Path, tmp_path: Path) -> None:
    """InstructGPT C.4: from a tenth of the peak. What is told, and what the optimizer had in its groups at each step."""
    config: dict[str, Any] = {"lr": 1e-4, "value_lr": 3e-4, "warmup_steps": 2, "save_every": 1}
    rows = run_ppo(tmp_path, base, reward_model, **config, keep_checkpoints=10)
    factors = [0.1, 0.55, 1.0, 1.0]
    assert [row["ppo/lr"] for row in rows] == pytest.approx([1e-4 * factor for factor in factors])
    for step, factor in enumerate(factors, 1):
        groups = json.loads((tmp_path / f"step-{step}" / "state.json").read_text())["groups"]
        # Matrices and vectors of the policy, then those of the value network.
        rates = [1e-4 * factor] * 2 + [3e-4 * factor] * 2
        assert [group["lr"] for group in groups] == pytest.approx(rates)


@pytest.mark.parametrize("kind", ["ppo", "rloo"])
def test_the_distance_is_from_the_reference_that_the_run_names(kind: str, base: Path, tmp_path: Path) -> None:
    """In later rounds that is the chain's SFT and not the policy's start. Log-ratios by plain forward passes of both."""
    answered: list[tuple[list[int], list[int]]] = []

    def reward(asked: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> list[float]:
        answered.extend((one.ids, list(answer)) for one, answer in zip(asked, answers, strict=True))
        return [0.0] * len(answers)

    inputs = {"model": base, "reference": moved_model(base, tmp_path / "reference")}
    config = {**PRESETS["test"][kind], "iterations": 1, "sample_every": 100}
    run = load_run(tmp_path / "run", kind, config, data={"train": prompts(5)}, inputs=inputs)
    {"ppo": train_ppo, "rloo": train_rloo}[kind](run, reward)
    (row,) = read_rows(tmp_path / "run" / "metrics.jsonl")
    policy, reference = (load_policy(folder)[0] for folder in inputs.values())
    drawn = answered[: config["episodes"]]
    ratios = [answer_logp(policy, *one) - answer_logp(reference, *one) for one in drawn]
    assert row[f"{kind}/kl"] == pytest.approx(sum(ratios) / len(ratios), rel=1e-3)
    assert abs(row[f"{kind}/kl"]) > 0.05


def answer_logp(model: PreTrainedModel, prompt: list[int], answer: list[int]) -> float:
    with torch.no_grad():
        logp = model(input_ids=torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
    return sum(float(logp[len(prompt) - 1 + t, token]) for t, token in enumerate(answer))


def test_values_of_a_trained_reward_model_foretell_returns_from_the_start(tmp_path: Path) -> None:
    """Spec row 46. Odd tokens are liked: what an answer has of them so far is what its end will say, and 0 on average."""
    rng, rows = random.Random(0), []
    for n in range(400):
        answers = [rng.choices(range(V), k=rng.randint(1, T)) for _ in range(6)]
        likes = [sum(1 if token % 2 else -1 for token in answer) for answer in answers]
        rows.append({
            **prompt_rows()[n % len(PROMPTS)], "id": str(n), "ranks": {str(k): -like for k, like in enumerate(likes)},
            "responses": [{"id": str(k), "content": "", "token_ids": answer} for k, answer in enumerate(answers)],
        })  # fmt: skip
    write_model(tmp_path / "model")
    inputs = {"model": tmp_path / "model"}
    config = {"lr": 3e-3, "batch_size": 8, "normalize": "samples", "normalize_tokens": T}
    run_it(tmp_path / "reward", "reward", config, data={"train": rows}, inputs=inputs, seed=13)
    inputs["reward"] = tmp_path / "reward" / "model"
    config = {"iterations": 1, "max_new_tokens": T, "ignore_eos": True, "no_eos_reward": None}
    run_it(tmp_path / "ppo", "ppo", config, data={"train": prompt_rows()}, inputs=inputs)
    (row,) = read_rows(tmp_path / "ppo" / "metrics.jsonl")
    # With this seed the shift is 0.44, and would be seen.
    assert abs(row["ppo/value_mean"]) < 0.15
    assert row["ppo/explained_variance"] > 0.2


def test_the_moving_average_of_a_number() -> None:
    average, module = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        average.weight.fill_(0.0)
        module.weight.fill_(1.0)
    for _ in range(10):
        move_average(average, module, 0.992)
    assert float(average.weight.detach()) == pytest.approx(1 - 0.992**10)


def test_the_adaptive_price_follows_the_distance(base: Path, reward_model: Path, tmp_path: Path) -> None:
    rows = run_ppo(tmp_path, base, reward_model, kl_target=5.0, kl_horizon=100.0)
    prices = [row["ppo/kl_coef"] for row in rows]
    assert prices[1] == pytest.approx(
        0.05 * (1 - 0.2 * 8 / 100)
    )  # No distance yet: as cheap as a step allows.
    assert prices == sorted(prices, reverse=True)


def test_rollouts_hang_on_prompt_ids_and_not_on_places(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """Two iterations draw differently, and the same run draws the same."""
    rows = [
        run_ppo(tmp_path / name, base, reward_model, iterations=2, lr=0.0, value_lr=0.0)
        for name in ("one", "two")
    ]
    assert [r["ppo/entropy"] for r in rows[0]] == [r["ppo/entropy"] for r in rows[1]]
    assert rows[0][0]["ppo/entropy"] != rows[0][1]["ppo/entropy"]


def test_a_reward_function_is_no_setting_of_a_run(base: Path, tmp_path: Path) -> None:
    run = load_run(
        tmp_path, "ppo", {**TEST, "no_eos_reward": None}, data={"train": prompts(3)}, inputs={"model": base}
    )
    result = train_ppo(run, lambda _prompts, answers: [float(len(answer)) for answer in answers])
    assert result["metrics"]["ppo/score"] == result["metrics"]["ppo/response_tokens"]


@pytest.mark.parametrize("autocast_bf16", [False, True])
def test_first_ratios_are_exact_however_the_minibatch_is_cut(
    autocast_bf16: bool, base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """Prompts from 7 to 60 tokens in micro-batches of two or three rows: the shapes and the numbers' format of scoring
    are those of learning."""
    rows = [
        {"id": f"p{n}", "prompt": [{"role": "user", "content": "pear " * (1 + 7 * (n % 5))}]}
        for n in range(9)
    ]
    config = {**TEST, "episodes": 16, "minibatches": 3, "micro_batch_tokens": 160, "lr": 1e-3}
    inputs = {"model": base, "reward": reward_model}
    run_it(tmp_path, "ppo", {**config, "autocast_bf16": autocast_bf16}, data={"train": rows}, inputs=inputs)
    found = read_rows(tmp_path / "metrics.jsonl")
    assert [row["ppo/first_ratio_error"] for row in found] == [0, 0, 0, 0]
    assert (found[0]["ppo/kl"], found[0]["ppo/kl_k3"]) == (0, 0)
