"""E10: a reward model is pushed until the oracle falls; a judge ends the run before, and its policy is the one that is kept."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from inference.engine.models import load_policy
from tests.training.core.enumerable import ANSWERS, T, V, expectations, log_policy, prompt_rows, write_model
from tests.training.core.rundirs import load_run, prompts
from tests.training.core.test_reward_limits import noisy_ranks
from training.core.checkpoint import own_tensors
from training.core.config import RLOOConfig
from training.core.errors import RunError
from training.core.overoptimisation import fit_overoptimisation
from training.core.policy import laws
from training.core.report import read_rows
from training.core.reward import train_reward
from training.core.rloo import train_rloo
from training.core.stop_rules import JUDGE_WINDOW, reason_to_stop, worth_keeping

# One word is welcome twice, and once more is too much: answers of the reference hardly ever have it three times, so a
# reward model that learned from those alone believes that more is better.
WORD, WORTH = 3, [0.0, 1.0, 2.0, 1.4, 0.8]
GOLD = torch.tensor(WORTH, dtype=torch.float64)[(ANSWERS == WORD).sum(1)].expand(8, -1)
RUN: dict[str, Any] = {
    "iterations": 46, "episodes": 320, "samples_per_prompt": 8, "max_new_tokens": T, "ignore_eos": True, "no_eos_reward": None,
    "kl_coef": 0.0, "lr": 3e-5, "save_every": 2, "keep_checkpoints": 100, "sample_every": 1000,
}  # fmt: skip
LIMIT = 0.03


def labelled(logp: Tensor, seed: int, k: int) -> list[dict[str, Any]]:
    """200 noisy rankings of k answers that were drawn from (8, 4096) log-probabilities."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    rows = []
    for n in range(200):
        places = torch.multinomial(logp[n % 8].exp(), k, generator=generator).tolist()
        texts = [" ".join(f"w{token}" for token in ANSWERS[place].tolist()) for place in places]
        ranks = noisy_ranks([2 * float(GOLD[0, place]) for place in places], rng)
        rows.append({
            "id": str(n), "prompt": prompt_rows()[n % 8]["prompt"],
            "responses": [{"id": str(i), "content": text, "token_ids": ANSWERS[place].tolist()}
                          for i, (text, place) in enumerate(zip(texts, places, strict=True))],
            "ranks": {str(i): rank for i, rank in enumerate(ranks)},
        })  # fmt: skip
    return rows


def train_on(folder: Path, rows: list[dict[str, Any]], reference: Path, **settings: Any) -> Path:
    config = {**settings, "warmup_steps": 5, "save_every": 1000, "eval_every": 1000}
    train_reward(load_run(folder, "reward", config, data={"train": rows}, inputs={"model": reference}))
    return folder / "model"


class Curve(NamedTuple):
    """The exact oracle of the policies that the iterations sampled with, and their distance."""

    steps: list[int]
    gold: list[float]
    d: list[float]


def curve_of(folder: Path, reference: Path) -> Curve:
    policy = copy.deepcopy(load_policy(reference)[0])
    log_ref = log_policy(policy)
    found = Curve([0], [expectations(log_ref, log_ref, GOLD)[0]], [0.0])
    for path in sorted(folder.glob("step-*"), key=lambda path: int(path.name[5:])):
        saved = load_file(path / "tensors.safetensors")
        for name, tensor in own_tensors(policy).items():
            tensor.copy_(saved[f"module/policy/{name}"])
        gold, kl = expectations(log_policy(policy), log_ref, GOLD)
        found.steps.append(int(path.name[5:]))
        found.gold.append(gold)
        found.d.append(math.sqrt(kl))
    return found


@pytest.fixture(scope="module")
def models_of_e10(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("e10")
    write_model(folder / "reference")
    log_ref = log_policy(load_policy(folder / "reference")[0])
    # Other labelers have ranked answers of a model that likes the word.
    fond = torch.where(ANSWERS == WORD, 0.6, 0.4 / (V - 1)).double().log().sum(1).expand(8, -1)
    return {
        "model": folder / "reference",
        "reward": train_on(
            folder / "proxy",
            labelled(log_ref, seed=1, k=4),
            folder / "reference",
            lr=1e-3,
            epochs=3,
            batch_size=8,
        ),
        "judge": train_on(
            folder / "judge",
            labelled(fond, seed=7, k=9),
            folder / "reference",
            lr=3e-3,
            epochs=6,
            batch_size=16,
        ),
    }


def run_of(folder: Path, models: dict[str, Path], **settings: Any) -> tuple[dict[str, Any], Curve]:
    run = load_run(folder, "rloo", {**RUN, **settings}, data={"train": prompt_rows()}, inputs=models)
    return train_rloo(run), curve_of(folder, models["model"])


def test_the_judge_ends_the_run_before_a_tenth_of_the_gain_is_lost_and_the_peak_is_published(
    models_of_e10: dict[str, Path], tmp_path: Path
) -> None:
    watched, whole = run_of(tmp_path / "watched", models_of_e10)
    start, peak = whole.gold[0], max(whole.gold)
    lowest = peak - 0.1 * (peak - start)
    # Left alone, it is over-optimised: the score rises to the end, and the oracle rises, then falls.
    rows = read_rows(tmp_path / "watched" / "metrics.jsonl")
    assert watched["stopped"] is None
    assert rows[-1]["rloo/score"] > rows[whole.steps[whole.gold.index(peak)]]["rloo/score"]
    assert peak > start + 0.5
    assert whole.gold[-1] < lowest

    ended, curve = run_of(tmp_path / "ended", models_of_e10, judge_drop_limit=LIMIT)
    assert ended["stopped"] == "judge_drop_limit"
    assert ended["steps"] < RUN["iterations"]
    assert curve.gold[-1] > lowest
    log_ref, published = (
        log_policy(load_policy(path)[0]) for path in (models_of_e10["model"], tmp_path / "ended" / "model")
    )
    assert expectations(published, log_ref, GOLD)[0] >= peak - 0.03 * (peak - start)

    # The law of 2210.10760, on the oracle's own curve and on what a run can tell of it.
    law = fit_overoptimisation(whole.d, whole.gold)
    assert law is not None
    assert law.r2 > 0.9
    told = {name.removeprefix("rloo/final_"): number for name, number in watched["metrics"].items()}
    assert told["score_r2"] > 0.9
    assert told["judge_peak_kl"] < told["kl"]  # It has gone too far,
    assert told.get("score_peak_kl", math.inf) > told["kl"]  # and the score can't tell.


def test_the_judge_is_scored_by_the_same_rules_and_teaches_nothing(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """Judged by the reward model itself, a run's two scores are one, unfinished answers included; the weights do not change."""
    config = {
        "iterations": 2,
        "episodes": 8,
        "samples_per_prompt": 4,
        "max_new_tokens": 8,
        "lr": 1e-3,
        "no_eos_reward": -3.0,
    }
    found = []
    for name, judge in (("judged", {"judge": reward_model}), ("alone", {})):
        inputs = {"model": base, "reward": reward_model, **judge}
        train_rloo(load_run(tmp_path / name, "rloo", config, data={"train": prompts(5)}, inputs=inputs))
        found.append(load_file(tmp_path / name / "model" / "model.safetensors"))
    for row in read_rows(tmp_path / "judged" / "metrics.jsonl"):
        assert (row["rloo/judge_score"], row["rloo/judge_se"]) == (row["rloo/score"], row["rloo/score_se"])
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


def test_a_limit_without_a_judge_is_refused(base: Path, reward_model: Path, tmp_path: Path) -> None:
    inputs = {"model": base, "reward": reward_model}
    run = load_run(tmp_path, "rloo", {"judge_drop_limit": 0.1}, data={"train": prompts(5)}, inputs=inputs)
    with pytest.raises(RunError, match="judge") as refused:
        train_rloo(run)
    assert refused.value.code == "bad_run"


# --- the rule and the law themselves ----------------------------------------------------------------------------------


def verdicts(scores: Sequence[float], error: float, limit: float = 0.1) -> list[tuple[str | None, bool]]:
    """(why it ends, whether its policy is kept) of each iteration."""
    cfg, memory, found = RLOOConfig(judge_drop_limit=limit), dict[str, Any](), []
    for score in scores:
        row = {"kl": 1.0, "entropy": 2.0, "score": 0.0, "score_std": 1.0, "response_tokens": 10.0,
               "judge_score": score, "judge_se": error}  # fmt: skip
        found.append((reason_to_stop(row, memory, cfg), worth_keeping(memory)))
    return found


def test_a_fall_by_a_share_of_the_gain_ends_it() -> None:
    """Means of five: up to 10 (a gain of 10), then down; below 9 it is over."""
    rising, level = [0.0, 5.0], [10.0] * JUDGE_WINDOW
    found = verdicts([*rising, *level, 8.0, 8.0, 8.0], error=0.01)
    assert [reason for reason, _ in found] == [None] * 9 + ["judge_drop_limit"]  # 9.6, 9.2, 8.8
    assert [kept for _, kept in found] == [True] * 7 + [False] * 3


def test_noise_does_not_end_it_however_small_the_gain() -> None:
    """Without any gain each share of it is 0: only what is more than noise counts."""
    rng = random.Random(0)
    flat = [rng.gauss(0, 0.1) for _ in range(10)]
    assert [reason for reason, _ in verdicts(flat, error=0.1)] == [None] * len(flat)
    falling = [-0.1 * n for n in range(10)]
    assert verdicts(falling, error=0.1)[-1][0] == "judge_drop_limit"


def test_the_law_is_found_again_with_its_peak() -> None:
    d = np.array([0.0, 0.1, 0.3, 0.7, 1.2, 1.9, 2.5, 3.0])
    reward = -2 + d * (1.5 - 0.8 * np.log(np.where(d > 0, d, 1)))
    law = fit_overoptimisation(d.tolist(), reward.tolist())
    assert law is not None
    assert law == pytest.approx((1.5, 0.8, -2, 1, math.exp(1.5 / 0.8 - 1)))
    finer = np.linspace(0.01, 6, 10_000)
    assert finer[(finer * (1.5 - 0.8 * np.log(finer))).argmax()] == pytest.approx(law.peak_d, abs=1e-3)


def test_a_law_without_a_turn_has_its_peak_nowhere_and_too_few_points_have_none() -> None:
    d = [0.5, 1.0, 1.5, 2.0, 2.5]
    law = fit_overoptimisation(d, [2 * x for x in d])
    assert law is not None
    assert law.peak_d > 1e6
    assert fit_overoptimisation(d[:4], d[:4]) is None
    assert fit_overoptimisation([0.0] * 9, list(range(9))) is None
    assert fit_overoptimisation(d, [1.0] * 5) is None


@pytest.mark.parametrize(("beta", "is_told"), [(0.5, True), (0.05, False)])
def test_a_peak_far_beyond_what_a_run_has_seen_is_not_told(beta: float, is_told: bool) -> None:
    """At beta 0.5 the law turns at d = e; at 0.05 at exp(19), a KL that hangs on beta's last digit."""
    distances = [0.5 * n for n in range(1, 9)]
    curve = [[d**2, d * (1 - beta * math.log(d)), None] for d in distances]
    found = laws(curve)
    assert found["final_score_beta"] == pytest.approx(beta)
    assert found.get("final_score_peak_kl") == (pytest.approx(math.e**2) if is_told else None)
