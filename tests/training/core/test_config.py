"""Settings: what is refused and how, what the form is told, and that presets and glossary are whole."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from torch import nn

from training.core.__main__ import STAGES
from training.core.config import (
    CONFIGS,
    FIELDS,
    KINDS,
    PRESETS,
    PPOConfig,
    PretrainConfig,
    SFTConfig,
    StageConfig,
    config_from_json,
    preset,
)
from training.core.loop import lr_factor, make_optimizer, micro_batches, sorted_batches, stream_seed
from training.core.metrics import METRICS, TIMING_COLUMNS
from training.core.presets import OFFERED, SOURCED
from training.core.report import Reporter, read_rows


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"lr": 2.0}, ["lr", "0.0 to 1.0", "Remedy"]),
        ({"lr": float("nan")}, ["lr", "finite"]),
        ({"epochs": 1.5}, ["epochs", "whole number"]),
        ({"epochs": True}, ["epochs", "whole number"]),
        ({"lr_schedule": "step"}, ["lr_schedule", "constant, linear, cosine"]),
        ({"epochs": None}, ["epochs", "not null"]),
        ({"leaning_rate": 1}, ["leaning_rate", "lr"]),
        ([1], ["object"]),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(data: Any, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"Remedy|object") as refused:
        config_from_json("sft", data)
    assert [word for word in words if word not in str(refused.value)] == []


def test_rules_between_fields() -> None:
    with pytest.raises(ValueError, match="minibatches"):
        PPOConfig(episodes=4, minibatches=8)
    with pytest.raises(ValueError, match="dual_clip"):
        PPOConfig(clip=0.5, dual_clip=1.2)
    with pytest.raises(ValueError, match="kl_horizon"):
        PPOConfig(kl_target=6.0, kl_horizon=100.0, episodes=128)
    PPOConfig(kl_horizon=100.0, episodes=128)  # A fixed price has no horizon.
    with pytest.raises(ValueError, match="heads"):
        PretrainConfig(width=100, heads=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_survives_json(kind: str) -> None:
    config = CONFIGS[kind]()
    assert config_from_json(kind, config.to_json()) == config


def test_whole_numbers_are_taken_where_json_lost_the_point() -> None:
    assert SFTConfig.from_json({"dropout": 0}).dropout == 0.0


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_preset_is_a_valid_config(name: str, kind: str) -> None:
    preset(name, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_knows_every_field(kind: str) -> None:
    rows = {row["name"]: row for row in FIELDS[kind]}
    assert set(rows) == {one.name for one in fields(CONFIGS[kind])}
    for row in rows.values():
        assert all(row["source"].split("; ")), row["name"]
        assert row["help"].endswith((".", ")"))
        assert row["type"] in {"int", "float", "bool", "str"}
        assert row["type"] not in {"int", "float"} or (row["min"] is not None and row["max"] is not None)


# Numbers that are shares, factors, rates or sizes of vectors; every other one is a number of something.
PURE = {
    "lr", "value_lr", "adam_beta1", "adam_beta2", "adam_eps", "weight_decay", "max_grad_norm", "valid_share", "width", "dropout",
    "centering", "clip", "pretrain_fraction", "dual_clip", "gamma", "lam", "value_coef", "ema_decay", "ptx_coef", "length_drift_limit", "label_smoothing", "lora_alpha",
}  # fmt: skip


def test_every_number_of_something_has_a_unit() -> None:
    numbers = [row for rows in FIELDS.values() for row in rows if row["type"] in {"int", "float"}]
    assert {row["name"] for row in numbers if not row["unit"]} == PURE
    assert {row["name"] for row in numbers if row["unit"]} & PURE == set()


@pytest.mark.parametrize("name", OFFERED)
def test_every_value_of_a_preset_says_where_it_comes_from(name: str) -> None:
    """A place in the literature with its section, or `ours` with a reason; never a bare word."""
    place = re.compile(r"(ours: \S|(IG|LHP|N\+)\b|.*\d{4}\.\d{5}[,:] |GPT-2, Radford)")
    sources = {(k, s): source for k, found in SOURCED[name].items() for s, (_, source) in found.items()}
    assert [one for one, source in sources.items() if not place.match(source)] == []
    assert set(sources) == {(kind, setting) for kind, found in PRESETS[name].items() for setting in found}


def test_these_are_the_values_of_the_paper() -> None:
    """InstructGPT, appendices C and E.9."""
    sft, reward, ppo = (preset("instructgpt", kind).to_json() for kind in ("sft", "reward", "ppo"))
    expected = {
        "lr": 9.65e-6,
        "epochs": 16,
        "batch_size": 32,
        "dropout": 0.2,
        "warmup_steps": 0,
        "lr_schedule": "cosine",
    }
    assert expected.items() <= sft.items()
    assert {
        "lr": 9e-6,
        "epochs": 1,
        "batch_size": 64,
        "lr_schedule": "cosine",
        "ties": "drop",
    }.items() <= reward.items()
    expected = {
        "lr": 8.05e-6, "value_lr": 9e-6, "episodes": 512, "minibatches": 8, "epochs": 1, "kl_coef": 0.02, "clip": 0.2,
        "gamma": 1.0, "lr_schedule": "constant", "warmup_steps": 10, "ema_decay": 0.992,
        "lam": 0.95, "value_coef": 0.1, "value_clip": 0.2,  # lm-human-preferences; the paper prints none of them
        "ptx_ratio": 8,
    }  # fmt: skip
    assert expected.items() <= ppo.items()
    assert ppo["iterations"] * ppo["episodes"] == 256_000
    assert all((one["adam_beta1"], one["adam_beta2"]) == (0.9, 0.95) for one in (sft, reward, ppo))


def test_an_answer_without_an_end_costs_one() -> None:
    """LHP and N+: wherever answers are scored, and unless somebody says otherwise."""
    kinds = {kind for kind in KINDS if "no_eos_reward" in {one.name for one in fields(CONFIGS[kind])}}
    assert kinds == {"sft", "ppo", "rloo", "best_of_n", "score"}
    assert {config_from_json(kind, {}).to_json()["no_eos_reward"] for kind in kinds} == {-1.0}


def test_every_kind_of_run_can_be_started() -> None:
    assert set(STAGES) == set(KINDS)


def test_configs_and_run_folders_need_no_torch() -> None:
    code = "import sys, training.core.config, training.core.run_folder, training.core.report; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode
        == 0
    )


def test_the_rate_of_the_paper() -> None:
    """InstructGPT C.4: ten iterations up from a tenth of the peak, then constant; C.1: cosine down to a tenth."""
    trace = [lr_factor(step, 100, "constant", 10) for step in range(100)]
    assert trace[:3] == pytest.approx([0.1, 0.19, 0.28])
    assert trace[10:] == [1.0] * 90
    cosine = [lr_factor(step, 101, "cosine", 0) for step in range(102)]
    assert (cosine[0], cosine[101]) == pytest.approx((1.0, 0.1))
    assert cosine == sorted(cosine, reverse=True)
    linear = [lr_factor(step, 4, "linear", 0) for step in range(4)]
    assert linear == [1.0, 0.75, 0.5, 0.25]


def test_streams_of_randomness_are_apart() -> None:
    assert stream_seed(0, "order") == stream_seed(0, "order")
    assert (
        len(
            {
                stream_seed(0, "order"),
                stream_seed(0, "dropout"),
                stream_seed(1, "order"),
                stream_seed(0, "order", 1),
            }
        )
        == 4
    )


def test_micro_batches_hold_all_rows_within_the_budget() -> None:
    lengths = [5, 90, 3, 40, 41, 7, 8, 100]
    parts = micro_batches(range(8), lambda i: (1, lengths[i]), 100)
    assert sorted(i for part in parts for i in part) == list(range(8))
    assert all(len(part) * max(lengths[i] for i in part) <= 100 for part in parts)
    assert sorted(i for batch in sorted_batches(lengths, list(range(8)), 3, 2, 0) for i in batch) == list(
        range(8)
    )


def test_micro_batches_of_ragged_rows_are_nearly_without_padding_and_not_small() -> None:
    lengths = [1 + (37 * i) % 200 for i in range(512)]
    parts = micro_batches(range(512), lambda i: (1, lengths[i]), 8192)
    padded = [len(part) * max(lengths[i] for i in part) for part in parts]
    assert sum(padded) < 1.08 * sum(lengths)  # filled to the budget they hold 1.12 times as much
    assert all(size >= 8192 / 8 for size in padded[:-1])
    assert micro_batches(range(64), lambda i: (1, 40), 8192) == [list(reversed(range(64)))]


def test_every_metric_is_explained_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    assert all(
        metric.meaning.endswith((".", ")")) and metric.healthy.endswith((".", ")"))
        for metric in METRICS.values()
    )
    assert {"time", "eta_s", "perf/seconds"} <= TIMING_COLUMNS
    report = Reporter(tmp_path, 4)
    with pytest.raises(KeyError, match="sft/vibes"):
        report.log(1, {"sft/vibes": 1.0})


def test_numbers_that_json_cannot_write_become_null(tmp_path: Path) -> None:
    report = Reporter(tmp_path, 4)
    report.log(1, {"sft/loss": float("inf")})
    (row,) = read_rows(tmp_path / "metrics.jsonl")
    assert (row["step"], row["progress"], row["sft/loss"]) == (1, 0.25, None)


def test_in_a_terminal_a_run_shows_where_it_is_and_in_a_log_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    report = Reporter(tmp_path, 2)
    report.log(1, {"sft/loss": 1.5, "sft/lr": 0.1})
    assert capfd.readouterr().err == ""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        report.log(1, {"sft/loss": 1.25, "perf/tokens_per_s": 1234.5})
        assert b"step 1 of 2  sft/loss 1.25  1234 tokens/s  0:00:0" in os.read(ours, 1000)
        report.log(2, {"sft/loss": 1.25, "sft/lr": 0.1})
        assert b"step 2 of 2  sft/loss 1.25\r\n" in os.read(ours, 1000)
    os.close(ours)


@pytest.mark.parametrize(("kind", "eps"), [("sft", 1e-8), ("reward", 1e-5), ("ppo", 1e-5), ("rloo", 1e-5)])
def test_the_optimizer_is_the_papers(kind: str, eps: float) -> None:
    """Spec items 9 and 10: Adam's betas are InstructGPT's, its epsilon in reward models and RL is LHP's and not torch's."""
    cfg = cast(StageConfig, CONFIGS[kind](weight_decay=0.1))  # type: ignore[call-arg]  # of every stage that learns
    optimizer = make_optimizer([(nn.Linear(2, 2), 0.5)], cfg)
    told = [(g["betas"], g["eps"], g["weight_decay"], g["peak_lr"]) for g in optimizer.param_groups]
    assert told == [((0.9, 0.95), eps, 0.1, 0.5), ((0.9, 0.95), eps, 0.0, 0.5)], "vectors are not decayed"
