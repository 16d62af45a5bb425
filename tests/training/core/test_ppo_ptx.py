"""Spec item 51, E11: text that is mixed in keeps what the policy could do before, and the run says what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.engine.models import load_policy
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, load_run, make_run, prompts, write_rows
from training.core.__main__ import main
from training.core.config import PRESETS
from training.core.data import Dropped, Prompt, read_demonstrations
from training.core.losses import masked_sum
from training.core.metrics import METRICS
from training.core.ptx import Example, as_rollout, read_pretraining
from training.core.report import read_rows
from training.core.rloo import train_rloo
from training.core.rollout import answer_logprobs, answer_mask


def perplexity(model: Path, folder: Path) -> float:
    """Of the demonstrations' answers, per token."""
    policy, tokenizer = load_policy(model)
    found = read_demonstrations(folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    texts = as_rollout([Example(one.ids, one.prompt_tokens) for one in found])
    mask = answer_mask(texts, policy.device)
    with torch.no_grad():
        logp, _ = answer_logprobs(policy, texts, range(len(texts.answers)), mask.shape[1])
    return math.exp(-float(masked_sum(logp, mask)) / int(mask.sum()))


def even_tokens(_prompts: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> list[float]:
    """What no demonstration was written for."""
    return [sum(token % 2 == 0 for token in answer) / 8 for answer in answers]


@pytest.fixture(scope="module")
def taught(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned its demonstrations, beside them."""
    folder = tmp_path_factory.mktemp("taught")
    config = {"lr": 1e-2, "epochs": 12, "batch_size": 8, "eval_every": 1000, "sample_every": 1000}
    run_it(folder, "sft", config, data={"train": demonstrations(24)}, inputs={"model": base})
    return folder


def test_what_was_learned_before_is_kept_where_it_is_mixed_in(taught: Path, tmp_path: Path) -> None:
    """E11: the reward pulls elsewhere. Perplexity rises by at most a tenth of what it rises to without the text."""
    texts = taught / "inputs" / "dataset"
    asked = [{"id": f"q{n}", "prompt": [{"role": "user", "content": f"Sing song {n}."}]} for n in range(4)]
    config: dict[str, Any] = {
        "iterations": 20, "episodes": 32, "max_new_tokens": 8, "no_eos_reward": None, "kl_coef": 0.0, "lr": 3e-3,
        "save_every": 1000, "sample_every": 1000, "ptx_ratio": 1,
    }  # fmt: skip
    after, gained = {}, {}
    for coef in (0.0, 1.0):
        folder = tmp_path / str(coef)
        inputs = {"model": taught / "model", "pretraining": texts}
        run = load_run(folder, "rloo", {**config, "ptx_coef": coef}, data={"train": asked}, inputs=inputs)
        result = train_rloo(run, even_tokens)
        rows = read_rows(folder / "metrics.jsonl")
        gained[coef] = result["metrics"]["rloo/final_score"] - rows[0]["rloo/score"]
        after[coef] = perplexity(folder / "model", texts)
        assert ("rloo/ptx_loss" in rows[-1]) == (coef > 0)
        assert {row["rloo/optimizer_steps"] for row in rows} == {1}
    before = perplexity(taught / "model", texts)
    assert min(gained.values()) > 0.2
    assert after[0.0] > 2 * before
    assert after[1.0] - before <= 0.1 * (after[0.0] - before)


def test_raw_text_is_cut_into_windows_that_learn_every_token_but_the_first(
    base: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "book.txt").write_text("The sea is grey. " * 40, encoding="utf-8")
    write_rows(texts / "train.jsonl", demonstrations(3))
    run = load_run(tmp_path / "run", "ppo", {"ptx_coef": 1.0}, inputs={"pretraining": texts})
    _, tokenizer = load_policy(base)
    found = read_pretraining(run, tokenizer, 32, len(tokenizer), run.config, Dropped())  # type: ignore[arg-type]  # PPO's it is
    assert found is not None
    windows = found.examples[3:]
    assert {len(one.ids) for one in windows[:-1]} == {32}
    assert {one.prompt_tokens for one in windows} == {1}
    assert all(a.ids[-1] == b.ids[0] for a, b in pairwise(windows))
    whole = [*windows[0].ids, *(token for one in windows[1:] for token in one.ids[1:])]
    assert tokenizer.decode(whole[:-1]) == "The sea is grey. " * 40
    assert whole[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("kind", ["ppo", "rloo"])
def test_without_text_the_run_is_refused(kind: str, base: Path, reward_model: Path, tmp_path: Path) -> None:
    config = {**PRESETS["test"][kind], "ptx_coef": 27.8}
    inputs = {"model": base, "reward": reward_model}
    assert main([kind, str(make_run(tmp_path, kind, config, data={"train": prompts(4)}, inputs=inputs))]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert (error["code"], "inputs.pretraining" in error["remedy"]) == ("bad_run", True)
    (tmp_path / "nothing").mkdir()
    inputs["pretraining"] = tmp_path / "nothing"
    assert main([kind, str(make_run(tmp_path, kind, config, data={"train": prompts(4)}, inputs=inputs))]) == 1
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "empty_dataset"
    assert not (tmp_path / "model").exists()


def test_a_run_with_text_tells_all_its_numbers(base: Path, reward_model: Path, tmp_path: Path) -> None:
    rows = demonstrations(7)
    rows[2]["messages"][-1]["content"] = "word " * 300
    del rows[3]["messages"][-1]
    write_rows(tmp_path / "texts" / "train.jsonl", rows)
    inputs = {"model": base, "reward": reward_model, "pretraining": tmp_path / "texts"}
    config = {**PRESETS["test"]["ppo"], "ptx_coef": 27.8, "ptx_ratio": 2}
    run_it(tmp_path, "ppo", config, data={"train": prompts(4)}, inputs=inputs)
    told = {
        name
        for name in METRICS
        if name.startswith("ppo/") and not name.startswith(("ppo/final", "ppo/judge"))
    }
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert all(told <= set(row) for row in rows)
    assert rows[-1]["ppo/ptx_loss"] < rows[0]["ppo/ptx_loss"]
    assert {row["ppo/first_ratio_error"] for row in rows} == {0}
    left_out = json.loads((tmp_path / "result.json").read_text())["dropped"]
    assert left_out == {"ptx_too_long": 1, "ptx_no_answer": 1}
