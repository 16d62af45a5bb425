"""E6, E6b, E6c: PPO and RLOO on a task whose best policy is known exactly, and whose every number can be enumerated."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inference.engine.models import load_policy
from tests.training.core.enumerable import (
    RLOO_SCHEDULE,
    SCHEDULE,
    Frontier,
    RewardTable,
    best_objective,
    best_of,
    best_of_at,
    expectations,
    gap_closed,
    log_policy,
    prompt_rows,
    reward_table,
    write_model,
)
from tests.training.core.rundirs import load_run
from training.core.checkpoint import own_tensors
from training.core.ppo import train_ppo
from training.core.report import read_rows
from training.core.rloo import train_rloo


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("optimum")
    write_model(folder / "reference")
    run = load_run(
        folder / "run",
        "ppo",
        SCHEDULE,
        data={"train": prompt_rows()},
        inputs={"model": folder / "reference"},
        seed=0,
    )
    train_ppo(run, RewardTable())
    return folder


def test_at_least_93_percent_of_the_gap_to_the_optimum_is_closed(trained: Path) -> None:
    log_ref, table = log_policy(load_policy(trained / "reference")[0]), reward_table()
    # What was committed: a change here means that the task is another one and its figures can't be compared.
    figures = (expectations(log_ref, log_ref, table)[0], best_objective(log_ref, table))
    assert figures == pytest.approx((0.058701, 0.921212), abs=1e-4)
    assert 0.93 <= gap_closed(trained)[2] <= 1


def test_reported_reward_and_kl_are_the_enumerated_ones(trained: Path) -> None:
    """Within three standard errors at every checkpoint: row n + 1 was sampled from the policy of step-n."""
    reference, _ = load_policy(trained / "reference")
    log_ref, table, policy = log_policy(reference), reward_table(), copy.deepcopy(reference)
    rows = {row["step"]: row for row in read_rows(trained / "run" / "metrics.jsonl")}
    checked = 0
    for folder in (trained / "run").glob("step-*"):
        row = rows.get(int(folder.name[5:]) + 1)
        if row is None:
            continue
        saved = load_file(folder / "tensors.safetensors")
        for name, tensor in own_tensors(policy).items():
            tensor.copy_(saved[f"module/policy/{name}"])
        reward, kl = expectations(log_policy(policy), log_ref, table)
        assert abs(row["ppo/score"] - reward) <= 3 * row["ppo/score_se"], folder.name
        assert abs(row["ppo/kl"] - kl) <= 3 * row["ppo/kl_se"], folder.name
        checked += 1
    assert checked == 11


def test_it_starts_at_the_reference_and_on_policy(trained: Path) -> None:
    rows = read_rows(trained / "run" / "metrics.jsonl")
    assert rows[0]["ppo/kl"] == 0
    assert max(row["ppo/first_ratio_error"] for row in rows) == 0
    assert max(row["ppo/engine_logprob_error"] for row in rows) <= 1e-5
    assert {row["ppo/optimizer_steps"] for row in rows} == {16}


def test_no_iteration_claims_more_than_is_possible_at_its_distance(trained: Path) -> None:
    """E6b: a reported reward beyond the exact frontier would mean that reward or KL is measured wrongly."""
    log_ref, table = log_policy(load_policy(trained / "reference")[0]), reward_table()
    frontier = Frontier(log_ref, table)
    for row in read_rows(trained / "run" / "metrics.jsonl"):
        possible = frontier.reward(row["ppo/kl"] + 3 * row["ppo/kl_se"])
        assert row["ppo/score"] - 3 * row["ppo/score_se"] <= possible, row["step"]


def test_the_trained_policy_lies_between_best_of_n_and_the_frontier(trained: Path) -> None:
    log_ref, table = log_policy(load_policy(trained / "reference")[0]), reward_table()
    reward, kl = expectations(log_policy(load_policy(trained / "run" / "model")[0]), log_ref, table)
    assert best_of_at(log_ref, table, kl) < reward <= Frontier(log_ref, table).reward(kl)


def test_the_frontier_and_best_of_n_themselves() -> None:
    """The frontier is touched by reference x exp(reward / beta); the best of n is log n - (n - 1) / n nats away, or less."""
    generator = torch.Generator().manual_seed(0)
    log_ref = torch.randn(8, 4096, generator=generator, dtype=torch.float64).log_softmax(1)
    table = reward_table()
    frontier = Frontier(log_ref, table)
    for beta in (0.1, 0.2, 1.0):
        tilted = (log_ref + table / beta).log_softmax(1)
        reward, kl = expectations(tilted, log_ref, table)
        assert 0 <= frontier.reward(kl) - reward <= 1e-3
    assert best_of(log_ref, table, 1) == pytest.approx(expectations(log_ref, log_ref, table))
    for n in (4, 16, 64):
        reward, kl = best_of(log_ref, table, n)
        bound = math.log(n) - (n - 1) / n
        assert bound - 0.1 < kl <= bound
        drawn = torch.multinomial(log_ref.exp(), 1000 * n, replacement=True, generator=generator).view(
            8, 1000, n
        )
        best = table.unsqueeze(1).expand(8, 1000, -1).gather(2, drawn).max(2).values
        assert float(best.mean()) == pytest.approx(reward, abs=4 * float(best.std()) / (8 * 1000) ** 0.5)


def test_rloo_reaches_the_optimum_too(tmp_path: Path) -> None:
    """E6c, strictly on-policy: one step a rollout, and what it reports on the way is what enumeration says of the end."""
    write_model(tmp_path / "reference")
    inputs = {"model": tmp_path / "reference"}
    run = load_run(
        tmp_path / "run", "rloo", RLOO_SCHEDULE, data={"train": prompt_rows()}, inputs=inputs, seed=0
    )
    train_rloo(run, RewardTable())
    reward, kl, closed = gap_closed(tmp_path)
    assert 0.95 <= closed <= 1
    last = read_rows(tmp_path / "run" / "metrics.jsonl")[-1]
    assert abs(last["rloo/score"] - reward) <= 4 * last["rloo/score_se"]
    assert abs(last["rloo/kl"] - kl) <= 4 * last["rloo/kl_se"]
    assert last["rloo/first_ratio_error"] == 0
