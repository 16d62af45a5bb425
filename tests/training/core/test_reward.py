"""The reward model: how good it gets, where its zero lies, and what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from inference.engine.models import ScalarModel, load_policy, load_scalar
from tests.training.core.conftest import run_it, write_demos
from tests.training.core.rundirs import make_model, rankings, write_rows
from training.core.config import PRESETS, RewardConfig
from training.core.data import Dropped, read_demonstrations, read_rankings
from training.core.errors import RunError
from training.core.ranking_quality import calibration_error, quality
from training.core.reward_normal import raw_scores, sampled_answers, standardize
from training.core.run_folder import read_run


def test_demonstrations_score_zero_on_average(base: Path, tmp_path: Path) -> None:
    demos = write_demos(tmp_path)
    inputs = {"model": base, "demonstrations": demos}
    run_it(tmp_path / "run", "reward", PRESETS["test"]["reward"], data={"train": rankings(12)}, inputs=inputs)
    model, tokenizer = load_scalar(tmp_path / "run" / "model")
    rows = read_demonstrations(demos, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    with torch.no_grad():
        rewards = torch.cat([model.rewards(torch.tensor([r.ids]), torch.ones(1, len(r.ids))) for r in rows])
    assert abs(float(rewards.mean())) < 1e-5
    assert (
        model.shift
        == json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]["reward/shift"]
        != 0
    )


def test_without_demonstrations_the_training_answers_score_zero(base: Path, tmp_path: Path) -> None:
    run_it(
        tmp_path / "run",
        "reward",
        PRESETS["test"]["reward"],
        data={"train": rankings(12)},
        inputs={"model": base},
    )
    model, tokenizer = load_scalar(tmp_path / "run" / "model")
    write_rows(tmp_path / "train.jsonl", rankings(12))
    rows = read_rankings(tmp_path, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    scores = raw_scores(model, [a for row in rows for a in row.answers], 1000)
    assert float(scores.mean()) - model.shift == pytest.approx(0, abs=1e-5)


def test_answers_of_the_model_it_starts_from_score_mean_0_and_deviation_1(base: Path, tmp_path: Path) -> None:
    """Spec item 30: before training and after it; the order of answers and the report stay as they are."""
    config = {**PRESETS["test"]["reward"], "lr": 1e-3, "normalize_samples": 40, "normalize_tokens": 8}
    data = {"train": rankings(12), "valid": rankings(4)}
    found = {}
    for kind in ("samples", "demonstrations"):
        folder = tmp_path / kind
        run_it(folder, "reward", {**config, "normalize": kind}, data=data, inputs={"model": base})
        found[kind] = json.loads((folder / "result.json").read_text())["metrics"]
    run = read_run(tmp_path / "samples" / "run.json")
    cfg = cast(RewardConfig, run.config)
    policy, tokenizer = load_policy(base)
    rows = read_rankings(run.input("dataset"), "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    answers = sampled_answers(run, policy, tokenizer, rows, cfg, 96, none := Dropped())
    assert (len(answers), none.total()) == (40, 0)
    assert len({tuple(one) for one in answers}) > 30
    model, _ = load_scalar(tmp_path / "samples" / "model")
    with torch.no_grad():
        rewards = torch.cat([model.rewards(torch.tensor([one]), torch.ones(1, len(one))) for one in answers])
    assert float(rewards.mean()) == pytest.approx(0, abs=1e-5)
    assert float(rewards.std(correction=0)) == pytest.approx(1, abs=1e-5)
    lengths = sorted({row.prompt: len(row.prompt) for row in rows}.values())
    sampled_answers(run, policy, tokenizer, rows, cfg, lengths[0] + 8, short := Dropped())
    assert short == {"normalize_prompts_too_long": sum(length > lengths[0] for length in lengths)}
    # Where nothing is learned, what was set before training is still there after it.
    still = {**config, "normalize": "samples", "lr": 0.0}
    run_it(tmp_path / "still", "reward", still, data=data, inputs={"model": base})
    gain = json.loads((tmp_path / "still" / "result.json").read_text())["metrics"]["reward/gain"]
    assert gain == pytest.approx(1, abs=1e-5)
    assert abs(found["samples"]["reward/gain"] - 1) > 1e-3
    assert "reward/gain" not in found["demonstrations"]

    before = raw_scores(model, answers, 1000)
    gain = standardize(model, answers, 1000)
    assert gain == pytest.approx(1 / float(before.std(correction=0))) == pytest.approx(1, abs=1e-5)
    model.score.weight.data.mul_(3.0)
    assert standardize(model, answers, 1000) == pytest.approx(1 / 3, rel=1e-5)


def test_answers_that_all_score_alike_have_no_deviation_to_set(reward_model: Path) -> None:
    model, _ = load_scalar(reward_model)
    with pytest.raises(RunError, match="have one score"):
        standardize(model, [[9, 8, 7]] * 3, 1000)


def test_the_saved_folder_scores_alike_in_transformers_itself(reward_model: Path) -> None:
    ours, _ = load_scalar(reward_model)
    theirs = AutoModelForSequenceClassification.from_pretrained(reward_model, dtype=torch.float32).eval()
    ids = torch.tensor([[9, 8, 7, 6, 5]])
    with torch.no_grad():
        raw = ours.rewards(ids, torch.ones_like(ids)) + ours.shift
        assert float(theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits) == pytest.approx(
            float(raw), abs=1e-5
        )


def test_the_head_starts_with_deviation_one_over_the_root_of_width_plus_one(tmp_path: Path) -> None:
    model = make_model(tmp_path / "wide", width=256, heads=4)
    heads = torch.cat([ScalarModel.from_policy(model, seed=seed).score.weight.detach() for seed in range(12)])
    assert float(heads.std()) == pytest.approx(257**-0.5, rel=0.05)


def test_weights_of_rankings_scale_their_share(base: Path, tmp_path: Path) -> None:
    """A ranking of weight 0 teaches nothing."""
    light = rankings(12)
    for row in light[6:]:
        row |= {"weight": 0.0, "ranks": {name: 5 - rank for name, rank in row["ranks"].items()}}
    config = {**PRESETS["test"]["reward"], "epochs": 4, "batch_size": 12, "lr": 3e-3}
    run_it(tmp_path, "reward", config, data={"train": light, "valid": rankings(6)}, inputs={"model": base})
    assert json.loads((tmp_path / "result.json").read_text())["metrics"]["reward/valid_accuracy"] > 0.9


def test_quality_by_hand() -> None:
    found = quality([([2.0, 1.0, 0.0], [1, 2, 2]), ([0.0, 1.0], [1, 2]), ([5.0, 5.0], [1, 3])])
    assert found["reward/valid_pairs"] == 4
    assert found["reward/valid_accuracy"] == pytest.approx((2 + 0 + 0.5) / 4)
    assert found["reward/valid_accuracy_distance_1"] == pytest.approx(2 / 3)
    assert found["reward/valid_accuracy_distance_2"] == 0.5
    assert found["reward/valid_kendall_tau"] == pytest.approx((1 - 1 + 0) / 3)


def test_calibration_error_by_hand() -> None:
    assert calibration_error([(0.95, 1.0), (0.95, 0.0)]) == pytest.approx(0.45)
    assert calibration_error([(0.75, 1.0), (0.75, 1.0), (0.75, 1.0), (0.75, 0.0)]) == pytest.approx(0.0)
