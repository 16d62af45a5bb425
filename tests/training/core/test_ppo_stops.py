"""Spec row 62: a policy that goes astray ends its run within one iteration, and the last good one is what is published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.core.rundirs import load_run, prompts
from training.core import policy, ppo_update
from training.core.checkpoint import own_tensors
from training.core.config import PPOConfig
from training.core.data import Prompt
from training.core.ppo import train_ppo
from training.core.report import read_rows
from training.core.rloo import train_rloo
from training.core.stop_rules import reason_to_stop

SPOILED = 3  # The iteration whose update goes wrong; the rows of iterations count from 1.
RULES: dict[str, float] = {
    "kl_budget": 2.0, "entropy_floor": 1.0, "score_drop_limit": 3.0, "length_drift_limit": 2.0,
}  # fmt: skip
BASE = {
    "iterations": 8, "episodes": 16, "minibatches": 1, "epochs": 1, "max_new_tokens": 12, "lr": 1e-4, "no_eos_reward": None,
    "save_every": 1, "keep_checkpoints": 100, "sample_every": 100,
}  # fmt: skip


def length_of(_prompts: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> list[float]:
    return [float(len(answer)) for answer in answers]


@torch.no_grad()
def spoil(module: nn.Module, eos: int) -> None:
    """From now on it says nothing but EOS: far away, without entropy, one token long, worth little."""
    tensors = own_tensors(module)
    embedding = tensors["transformer.wte.weight"]
    tensors["transformer.ln_f.weight"].zero_()
    tensors["transformer.ln_f.bias"].copy_(embedding[eos] * 60 / embedding[eos].norm() ** 2)


@pytest.fixture
def spoiled_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The update of one iteration leaves a ruined policy behind, as a diverging one would."""
    calls: list[int] = []

    def learn(*given: Any) -> dict[str, float]:
        numbers = ppo_update.learn(*given)
        calls.append(1)
        if len(calls) == SPOILED:
            spoil(given[0].policy, given[0].tokenizer.eos_token_id)
        return numbers

    monkeypatch.setattr(policy, "learn", learn)


@pytest.mark.parametrize("kind", ["ppo", "rloo"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.usefixtures("spoiled_update")
def test_it_ends_within_one_iteration_and_publishes_the_last_good_policy(
    rule: str, kind: str, base: Path, tmp_path: Path
) -> None:
    config = {**BASE, rule: RULES[rule]}
    run = load_run(tmp_path, kind, config, data={"train": prompts(5)}, inputs={"model": base})
    result = {"ppo": train_ppo, "rloo": train_rloo}[kind](run, length_of)
    assert result["stopped"] == rule
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == list(range(1, SPOILED + 2))
    # The last rollouts that were good came from the weights that stood before the spoiled update.
    assert_is_published(tmp_path, f"step-{SPOILED - 1}", "policy")
    assert (result["role"], result["also"]) == ("policy", {})


@pytest.mark.usefixtures("spoiled_update")
def test_where_an_average_is_published_it_is_the_last_good_average(base: Path, tmp_path: Path) -> None:
    config = {**BASE, "entropy_floor": 1.0, "ema_decay": 0.5}
    run = load_run(tmp_path, "ppo", config, data={"train": prompts(5)}, inputs={"model": base})
    result = train_ppo(run, length_of)
    assert (result["stopped"], result["role"], result["also"]) == ("entropy_floor", "ema", {})
    assert not (tmp_path / "policy_last").exists()
    assert_is_published(tmp_path, f"step-{SPOILED - 1}", "ema")


@pytest.mark.usefixtures("spoiled_update")
def test_the_very_last_update_is_looked_at_too(base: Path, tmp_path: Path) -> None:
    """No iteration comes after it: the measurement of what would be published tells."""
    config = {**BASE, "iterations": SPOILED, "kl_budget": 2.0}
    run = load_run(tmp_path, "ppo", config, data={"train": prompts(5)}, inputs={"model": base})
    result = train_ppo(run, length_of)
    assert result["stopped"] == "kl_budget"
    assert result["metrics"]["ppo/final_kl"] <= 2.0
    assert_is_published(tmp_path, f"step-{SPOILED - 1}", "policy")


@pytest.mark.usefixtures("spoiled_update")
def test_without_rules_it_goes_on(base: Path, tmp_path: Path) -> None:
    run = load_run(tmp_path, "ppo", BASE, data={"train": prompts(5)}, inputs={"model": base})
    assert train_ppo(run, length_of)["stopped"] is None
    assert len(read_rows(tmp_path / "metrics.jsonl")) == BASE["iterations"]


def assert_is_published(folder: Path, step: str, module: str) -> None:
    published = load_file(folder / "model" / "model.safetensors")
    saved = load_file(folder / step / "tensors.safetensors")
    assert [
        name for name in published if not torch.equal(published[name], saved[f"module/{module}/{name}"])
    ] == []
    assert json.loads((folder / "model" / "lineage.json").read_text())["role"] == (
        "ema" if module == "ema" else "policy"
    )


# --- the rules themselves -------------------------------------------------------------------------------------------


def row(**changes: float) -> dict[str, float]:
    return {"kl": 1.0, "entropy": 2.0, "score": 0.0, "score_std": 1.0, "response_tokens": 10.0, **changes}


def test_the_score_is_held_against_its_own_moving_average() -> None:
    cfg, memory = PPOConfig(score_drop_limit=1.0), dict[str, Any]()
    assert reason_to_stop(row(score=5.0), memory, cfg) is None
    assert (
        reason_to_stop(row(score=4.1), memory, cfg) is None
    )  # The average is now 0.9 x 5 + 0.1 x 4.1 = 4.91.
    assert memory["average_score"] == pytest.approx(4.91)
    assert reason_to_stop(row(score=3.92), dict(memory), cfg) is None
    assert reason_to_stop(row(score=3.90), memory, cfg) == "score_drop_limit"
    assert memory["average_score"] == pytest.approx(4.91)  # What was refused is not averaged in.


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [(19.0, None), (21.0, "length_drift_limit"), (5.1, None), (4.9, "length_drift_limit")],
)
def test_length_is_held_against_the_first_iteration_in_both_directions(
    tokens: float, reason: str | None
) -> None:
    cfg, memory = PPOConfig(length_drift_limit=2.0), dict[str, Any]()
    assert reason_to_stop(row(), memory, cfg) is None
    assert reason_to_stop(row(response_tokens=tokens), memory, cfg) == reason
