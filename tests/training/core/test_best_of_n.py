"""Best-of-n against its exact value on the enumerable task, and its way into SFT."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from inference.engine.chat import encode_completion, render_prompt, turn_end_id
from inference.engine.models import load_policy, load_scalar, load_tokenizer, save_policy
from tests.training.core.conftest import run_it
from tests.training.core.enumerable import (
    PROMPTS,
    RewardTable,
    T,
    log_policy,
    prompt_rows,
    reward_table,
    write_model,
)
from tests.training.core.rundirs import load_run, make_run, prompts
from training.core.__main__ import main
from training.core.best_of_n import best_of_n
from training.core.config import PRESETS
from training.core.data import Dropped, Prompt, read_demonstrations
from training.core.losses import best_of_n_kl
from training.core.report import Reporter, read_rows

N, COPIES = 4, 60
TEST = PRESETS["test"]["best_of_n"]


class ByCopy:
    """The reward table for prompts that stand there many times under ids such as "3-17"."""

    def __init__(self) -> None:
        self.table = RewardTable()

    def __call__(self, asked: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> list[float]:
        plain = [Prompt(one.id.split("-")[0], one.messages, one.ids) for one in asked]
        return self.table(plain, answers)


def best_of_n_policy(logp: Tensor, table: Tensor, n: int) -> Tensor:
    """Exact probability (8, 4096) that an answer is the best of n draws: F(y)^n - F(y-)^n along the order of the rewards."""
    order = table.argsort(1)
    below = logp.exp().gather(1, order).cumsum(1).clamp(max=1)
    ends = torch.cat([torch.zeros(len(below), 1, dtype=below.dtype), below], 1) ** n
    return torch.zeros_like(logp).scatter(1, order, ends.diff(dim=1))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("best-of-n")
    write_model(folder / "model")
    rows = [{**row, "id": f"{row['id']}-{copy}"} for row in prompt_rows() for copy in range(COPIES)]
    config = {"n": N, "batch_size": 480, "max_new_tokens": T, "ignore_eos": True, "no_eos_reward": None}
    run = load_run(
        folder / "run", "best_of_n", config, data={"train": rows}, inputs={"model": folder / "model"}
    )
    (folder / "result.json").write_text(json.dumps(best_of_n(run, ByCopy())))
    return folder


def test_the_mean_of_the_best_is_the_one_of_order_statistics(drawn: Path) -> None:
    result = json.loads((drawn / "result.json").read_text())
    logp, table = log_policy(load_policy(drawn / "model")[0]), reward_table()
    metrics = result["metrics"]
    exact = float((best_of_n_policy(logp, table, N) * table).sum(1).mean())
    assert abs(metrics["bon/best_score"] - exact) <= 3 * metrics["bon/best_se"]
    assert exact - float((logp.exp() * table).sum(1).mean()) > 10 * metrics["bon/best_se"]
    for point in result["frontier"]:
        exact = float((best_of_n_policy(logp, table, point["n"]) * table).sum(1).mean())
        assert abs(point["score"] - exact) <= 4 * metrics["bon/best_se"], point


def test_the_kl_bound_is_one_and_nearly_reached(drawn: Path) -> None:
    """E6b: 0.636, 1.835, 3.175 nats by the formula, and at most that much by enumeration."""
    logp, table = log_policy(load_policy(drawn / "model")[0]), reward_table()
    for n in (1, 4, 16, 64):
        best = best_of_n_policy(logp, table, n)
        assert best.sum(1).tolist() == pytest.approx([1.0] * len(PROMPTS))
        exact = float(torch.where(best > 0, best * (best.log() - logp), 0.0).sum(1).mean())
        assert exact <= best_of_n_kl(n) + 1e-12
        assert exact == pytest.approx(best_of_n_kl(n), abs=0.1), n


def test_the_rows_are_the_best_of_their_prompt_with_what_was_sampled(drawn: Path) -> None:
    rows = read_rows(drawn / "run" / "best" / "train.jsonl")
    assert len(rows) == len(PROMPTS) * COPIES
    scores = ByCopy()([Prompt(row["id"], [], []) for row in rows], [row["token_ids"] for row in rows])
    assert [row["score"] for row in rows] == pytest.approx(scores, abs=1e-6)
    assert {(row["n"], row["kl_bound"]) for row in rows} == {(N, math.log(N) - (N - 1) / N)}


# --- with a reward model, and on to SFT -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ending(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model with EOS made likely: of eight tokens about every other answer ends by itself."""
    folder = tmp_path_factory.mktemp("ending") / "model"
    model, tokenizer = load_policy(base)
    inner: Any = model
    with torch.no_grad():
        end = inner.transformer.wte.weight[turn_end_id(tokenizer)]
        inner.transformer.ln_f.bias.add_(4 * end / end.dot(end))
    save_policy(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def chosen(ending: Path, reward_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = {"train": prompts(9), "valid": prompts(3)}
    inputs = {"model": ending, "reward": reward_model}
    return run_it(tmp_path_factory.mktemp("chosen"), "best_of_n", TEST, data=data, inputs=inputs)


def test_only_finished_answers_become_demonstrations(chosen: Path, ending: Path) -> None:
    result = json.loads((chosen / "result.json").read_text())
    rows = read_rows(chosen / "best" / "train.jsonl")
    assert 0 < result["metrics"]["bon/no_eos_share"] < 1
    assert result["rows"] == {"train": len(rows), "valid": len(read_rows(chosen / "best" / "valid.jsonl"))}
    assert result["rows"]["train"] + result["dropped"]["no_finished_answer"] == 9
    end = turn_end_id(load_tokenizer(ending))
    assert {row["token_ids"][-1] for row in rows} == {end}
    assert [point["n"] for point in result["frontier"]] == [1, 2, 4]
    assert result["metrics"]["bon/best_score"] > result["metrics"]["bon/mean_score"]
    assert [row["step"] for row in read_rows(chosen / "metrics.jsonl")] == [1, 2, 3, 4]


def test_scores_are_those_of_the_reward_model(chosen: Path, reward_model: Path) -> None:
    model, tokenizer = load_scalar(reward_model)
    for row in read_rows(chosen / "best" / "train.jsonl"):
        ids = torch.tensor([render_prompt(tokenizer, row["messages"][:-1]) + row["token_ids"]])
        with torch.no_grad():
            score = float(model.rewards(ids, torch.ones_like(ids))[0])
        assert score == pytest.approx(row["score"], abs=1e-5)


def test_it_is_the_data_set_that_sft_reads(chosen: Path, ending: Path, tmp_path: Path) -> None:
    """Rejection-sampling fine-tuning: the folder is linked as the data set of an SFT run, which learns the ids that were drawn."""
    tokenizer = load_tokenizer(ending)
    for name in ("train.jsonl", "valid.jsonl"):
        rows = read_rows(chosen / "best" / name)
        read = read_demonstrations(chosen / "best", name, tokenizer, 96, len(tokenizer), Dropped())
        assert [one.ids[one.prompt_tokens :] for one in read] == [row["token_ids"] for row in rows]
        again = [encode_completion(tokenizer, row["messages"][-1]["content"]) for row in rows]
        assert again != [row["token_ids"] for row in rows]  # Their texts alone would not tell.
    config = {**PRESETS["test"]["sft"], "epochs": 8, "lr": 1e-3}
    run_it(tmp_path, "sft", config, inputs={"model": ending, "dataset": chosen / "best"})
    _, first, *_, last = read_rows(tmp_path / "metrics.jsonl")
    assert last["sft/loss"] < first["sft/loss"] - 0.5


def test_run_again_it_gives_the_same_rows_whatever_the_batches(
    chosen: Path, ending: Path, reward_model: Path, tmp_path: Path
) -> None:
    data = {"train": prompts(9), "valid": prompts(3)}
    inputs = {"model": ending, "reward": reward_model}
    run_it(tmp_path, "best_of_n", {**TEST, "batch_size": 9}, data=data, inputs=inputs)
    for name in ("train", "valid"):
        one, other = (read_rows(folder / "best" / f"{name}.jsonl") for folder in (chosen, tmp_path))
        assert [row.pop("score") for row in one] == pytest.approx(
            [row.pop("score") for row in other], abs=1e-5
        )
        assert one == other


def test_without_a_finished_answer_nothing_is_written(base: Path, reward_model: Path, tmp_path: Path) -> None:
    inputs = {"model": base, "reward": reward_model}
    config = {**TEST, "max_new_tokens": 1}
    path = make_run(tmp_path, "best_of_n", config, data={"train": prompts(2)}, inputs=inputs)
    assert main(["best_of_n", str(path)]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["code"] == "empty_dataset"
    assert "no_finished_answer: 2" in error["message"]
    assert not (tmp_path / "best").exists()


def test_sigterm_ends_it_between_batches_with_nothing_half_written(
    ending: Path, reward_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Reporter.log

    def log_and_terminate(self: Reporter, step: int, numbers: dict[str, float]) -> None:
        log(self, step, numbers)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Reporter, "log", log_and_terminate)
    inputs = {"model": ending, "reward": reward_model}
    path = make_run(tmp_path, "best_of_n", TEST, data={"train": prompts(9)}, inputs=inputs)
    assert main(["best_of_n", str(path)]) == 143
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 1
    assert [name for name in ("best", "result.json", "error.json") if (tmp_path / name).exists()] == []
