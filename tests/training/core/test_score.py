"""Rewards and distances of answers that are there already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from inference.engine.chat import render_prompt
from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.models import ScalarModel, load_policy, load_scalar, save_policy, save_scalar
from inference.engine.requests import Sample, SampleRequest
from tests.inference.engine.support import chatml
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
    return [{**row, **told(sample)} for row, (sample,) in zip(asked, drawn, strict=True)]


def told(sample: Sample) -> dict[str, Any]:
    return {
        "completion_ids": list(sample.token_ids),
        "logprobs": list(sample.logprobs),
        "finish_reason": sample.finish_reason,
    }


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


@pytest.fixture(scope="module")
def chat_models(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same two with a tokenizer whose end of turn is not its EOS, and one more end in generation_config.json."""
    folder = tmp_path_factory.mktemp("chat models")
    policy, ours = load_policy(models["reference"])
    tokenizer = chatml(ours)
    tokenizer.eos_token = "<|assistant|>"
    cast(Any, policy).generation_config.eos_token_id = [ids_by_name(tokenizer)["another end"]]
    save_policy(policy, tokenizer, folder / "reference")
    save_scalar(load_scalar(models["reward"])[0], tokenizer, folder / "reward")
    return {"reference": folder / "reference", "reward": folder / "reward"}


def ids_by_name(tokenizer: Any) -> dict[str, int]:
    names = {
        "end of turn": "<|im_end|>",
        "EOS": "<|assistant|>",
        "another end": "e",
        "stop string": "s",
        "letter": "l",
    }
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def test_an_answer_that_never_ended_has_the_fixed_score(tmp_path: Path, chat_models: dict[str, Path]) -> None:
    """Whatever ends an answer for the engine ends it here; a row that does not say why it ended is judged by its ids."""
    model, tokenizer = load_policy(chat_models["reference"])
    ends = ids_by_name(tokenizer)
    assert len({*ends.values(), tokenizer.unk_token_id}) == len(ends) + 1
    asked = prompts(1)[0]["prompt"]
    requests = [
        SampleRequest(
            prompt_ids=tuple(render_prompt(tokenizer, asked)),
            n=1,
            params=SamplingParams(max_tokens=3, stop=("s",), logit_bias={token: 100.0}),
            key=name,
        )
        for name, token in ends.items()
    ]
    drawn = TorchEngine(model, tokenizer).generate(requests)
    rows = [
        {"id": name, "prompt": asked, **told(sample)} for name, (sample,) in zip(ends, drawn, strict=True)
    ]
    assert {row["id"]: len(row["completion_ids"]) for row in rows} == dict.fromkeys(ends, 1) | {"letter": 3}
    cut = {row["id"] for row in scored(tmp_path / "told", chat_models, rows) if row["reward"] == -1}
    assert cut == {"letter"}
    for row in rows:
        del row["finish_reason"]
    old = scored(tmp_path / "untold", chat_models, rows, no_eos_reward=-7.0)
    assert {row["id"] for row in old if row["reward"] == -7} == {"letter", "stop string"}


@pytest.mark.parametrize(
    "change",
    [
        {"completion_ids": []},
        {"completion_ids": [10**9]},
        {"logprobs": [0.0]},
        {"logprobs": None},
        {"completion_ids": [5], "logprobs": ["x"]},
        {"completion_ids": [5], "logprobs": [None]},
        {"completion_ids": [5], "logprobs": [True]},
        {"completion_ids": [5], "logprobs": [float("nan")]},
        {"finish_reason": "eos"},
    ],
)
def test_a_row_that_cannot_be_scored_is_named(
    tmp_path: Path, models: dict[str, Path], change: dict[str, Any]
) -> None:
    rows = answers_of(models["reference"], 3)
    rows[1] |= change
    with pytest.raises(RunError, match=r"train\.jsonl line 2"):
        scored(tmp_path, models, rows)
