"""Rewards and distances of answers that are there already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.models import ScalarModel, load_policy, save_scalar
from inference.engine.requests import SampleRequest
from tests.training.core.rundirs import load_run, make_model, prompts
from training.core.errors import RunError
from training.core.loop import pad
from training.core.score import score_completions


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A reference and a reward model of one family."""
    folder = tmp_path_factory.mktemp("models")
    reference = make_model(folder / "reference")
    _, tokenizer = load_policy(reference)
    save_scalar(ScalarModel.from_policy(reference, seed=1), tokenizer, folder / "reward")
    return {"reference": reference, "reward": folder / "reward"}


def answers_of(folder: Path, count: int = 5) -> list[dict[str, Any]]:
    """Answers that the model of `folder` samples."""
    from inference.engine.chat import render_prompt

    model, tokenizer = load_policy(folder)
    asked = prompts(count)
    requests = [
        SampleRequest(
            prompt_ids=tuple(render_prompt(tokenizer, row["prompt"])),
            n=1,
            params=SamplingParams(max_tokens=3 + n),
            seed=4,
            key=row["id"],
        )
        for n, row in enumerate(asked)
    ]
    drawn = TorchEngine(model, tokenizer).generate(requests)
    return [
        {**row, "completion_ids": list(sample.token_ids), "logprobs": list(sample.logprobs)}
        for row, (sample,) in zip(asked, drawn, strict=True)
    ]


def scored(
    folder: Path, models: dict[str, Path], rows: list[dict[str, Any]], **config: Any
) -> list[dict[str, Any]]:
    result = score_completions(load_run(folder, "score", config, inputs=models, data={"train": rows}))
    assert result["kind"] == "score"
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def test_a_model_has_no_distance_from_itself(tmp_path: Path, models: dict[str, Path]) -> None:
    rows = answers_of(models["reference"])
    for row, answer in zip(scored(tmp_path, models, rows), rows, strict=True):
        assert (row["id"], row["tokens"]) == (answer["id"], len(answer["completion_ids"]))
        assert row["kl"] == pytest.approx(0, abs=1e-4)


def test_the_distance_is_the_summed_log_ratio(tmp_path: Path, models: dict[str, Path]) -> None:
    rows = answers_of(models["reference"])
    for row in rows:
        row["logprobs"] = [x + 0.25 for x in row["logprobs"]]
    for row in scored(tmp_path, models, rows):
        assert row["kl"] == pytest.approx(0.25 * row["tokens"], abs=1e-4)


def test_the_reward_is_that_of_the_whole_answer_whatever_the_batches(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    from inference.engine.chat import render_prompt
    from inference.engine.models import load_scalar

    rows = answers_of(models["reference"])
    found = scored(tmp_path / "a", models, rows, no_eos_reward=None)
    alone = scored(tmp_path / "b", models, rows, no_eos_reward=None, micro_batch_tokens=16)
    reward, tokenizer = load_scalar(models["reward"])
    for row, same, answer in zip(found, alone, rows, strict=True):
        ids, mask = pad(
            [render_prompt(tokenizer, answer["prompt"]) + answer["completion_ids"]],
            reward.score.weight.device,
        )
        assert row["reward"] == pytest.approx(float(reward.eval().rewards(ids, mask).detach()), abs=1e-4)
        assert row["reward"] == pytest.approx(same["reward"], abs=1e-4)


def test_an_answer_that_never_ended_has_the_fixed_score(tmp_path: Path, models: dict[str, Path]) -> None:
    _, tokenizer = load_policy(models["reference"])
    rows = answers_of(models["reference"], 2)
    rows[0]["completion_ids"][-1] = tokenizer.eos_token_id
    rows[1]["completion_ids"][-1] = (tokenizer.eos_token_id or 0) - 1
    ended, cut = scored(tmp_path, models, rows, no_eos_reward=-7.0)
    assert ended["reward"] != -7.0
    assert cut["reward"] == -7.0


@pytest.mark.parametrize(
    "change", [{"completion_ids": []}, {"completion_ids": [10**9]}, {"logprobs": [0.0]}, {"logprobs": None}]
)
def test_a_row_that_cannot_be_scored_is_named(
    tmp_path: Path, models: dict[str, Path], change: dict[str, Any]
) -> None:
    rows = answers_of(models["reference"], 3)
    rows[1] |= change
    with pytest.raises(RunError, match=r"train\.jsonl line 2"):
        scored(tmp_path, models, rows)
