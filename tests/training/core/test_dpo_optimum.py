"""E6c: DPO on the enumerable task, from rankings of an oracle alone, gets near the very optimum that PPO is held to.

Preferences follow r / NOISE in the Plackett-Luce model, so DPO with beta = BETA / NOISE has its optimum at
pi* ~ reference x exp(r / BETA): the log-ratio there is r / BETA up to a constant of the prompt, and beta x that is r / NOISE.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from inference.engine.models import load_policy
from tests.training.core.enumerable import (
    ANSWERS,
    BETA,
    T,
    best_objective,
    expectations,
    log_policy,
    prompt_rows,
    reward_table,
    write_model,
)
from tests.training.core.rundirs import load_run
from training.core.dpo import train_dpo

NOISE, K, RANKINGS = 0.2, 9, 4000
SCHEDULE: dict[str, Any] = {
    "beta": BETA / NOISE, "epochs": 2, "batch_size": 16, "lr": 6e-3, "lr_schedule": "linear", "warmup_steps": 40,
    "adam_beta2": 0.99, "max_new_tokens": T, "ignore_eos": True, "kl_samples": 512, "micro_batch_tokens": 100_000,
    "save_every": 10_000, "eval_every": 10_000, "sample_every": 10_000,
}  # fmt: skip


def oracle_rankings(log_ref: Tensor, table: Tensor) -> list[dict[str, Any]]:
    """Answers drawn from the reference made hotter (its tail holds the best ones), ordered by reward plus Gumbel noise."""
    rng, asked = np.random.default_rng(0), prompt_rows()
    weights = (0.3 * log_ref).exp().numpy()
    found = []
    for x, weight in enumerate(weights / weights.sum(1, keepdims=True)):
        for n in range(RANKINGS // len(asked)):
            drawn = rng.choice(len(ANSWERS), size=K, p=weight)
            liked = table[x].numpy()[drawn] / NOISE + rng.gumbel(size=K)
            place = (-liked).argsort().argsort()
            responses = [
                {"id": str(k), "content": "", "token_ids": ANSWERS[y].tolist()} for k, y in enumerate(drawn)
            ]
            ranks = {str(k): int(place[k]) + 1 for k in range(K)}
            found.append({**asked[x], "id": f"{x}-{n}", "responses": responses, "ranks": ranks})
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dpo-optimum")
    write_model(folder / "reference")
    log_ref = log_policy(load_policy(folder / "reference")[0])
    data = {"train": oracle_rankings(log_ref, reward_table())}
    run = load_run(folder / "run", "dpo", SCHEDULE, data=data, inputs={"model": folder / "reference"}, seed=0)
    (folder / "result.json").write_text(json.dumps(train_dpo(run)))
    return folder


def test_at_least_90_percent_of_the_gap_to_the_optimum_is_closed_and_the_kl_is_the_enumerated_one(
    trained: Path,
) -> None:
    log_ref, table = log_policy(load_policy(trained / "reference")[0]), reward_table()
    at_start, best = expectations(log_ref, log_ref, table)[0], best_objective(log_ref, table)
    reward, kl = expectations(log_policy(load_policy(trained / "run" / "model")[0]), log_ref, table)
    closed = (reward - BETA * kl - at_start) / (best - at_start)
    assert 0.90 <= closed <= 1
    numbers = json.loads((trained / "result.json").read_text())["metrics"]
    assert abs(numbers["dpo/kl"] - kl) <= 3 * numbers["dpo/kl_se"]
