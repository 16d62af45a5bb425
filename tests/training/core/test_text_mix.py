"""Spec item 18 (InstructGPT C.3): text among demonstrations has its exact share, is all read, and keeps what was known."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.core.conftest import run_it
from tests.training.core.oracles import log_softmax
from tests.training.core.rundirs import demonstrations, make_run, write_rows
from tests.training.core.test_layout import Frozen, assert_close, gradient_of
from tests.training.core.test_packing import dialogues
from tests.training.core.test_vocabulary import MODELS
from training.core import sft
from training.core.__main__ import main
from training.core.checkpoint import TrainingState
from training.core.config import PRESETS, SFTConfig, preset
from training.core.data import Demonstration
from training.core.report import read_rows
from training.core.text_mix import Texts

DOCUMENTS = [[10 * n + k for k in range(length)] for n, length in enumerate((2, 9, 30, 5, 17))]
PASS = sum(len(ids) - 1 for ids in DOCUMENTS)


def texts(fraction: float = 0.1, limit: int = 12, seed: int = 0) -> Texts:
    return Texts(DOCUMENTS, fraction, limit, seed)


def state() -> TrainingState:
    module = torch.nn.Linear(1, 1)
    return TrainingState(modules={}, optimizer=torch.optim.SGD(module.parameters()))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_the_share_is_exact_after_every_step(fraction: float) -> None:
    mixed, now, learned, others = texts(fraction), state(), 0, 0
    for answers in (1, 9, 3, 40, 2, 2, 100, 7):
        found = mixed.beside(answers, now)
        learned, others = learned + answers, others + sum(one.learned_tokens for one in found)
        wanted = learned * fraction / (1 - fraction)
        assert wanted - 1 < others <= wanted + 1e-6
    assert mixed.share(now) == pytest.approx(fraction, abs=1 / learned)


def test_a_pass_learns_every_token_but_first_ones_once_and_the_next_has_another_order() -> None:
    mixed = texts()
    first, second = (list(mixed.pieces(PASS * n, PASS * (n + 1))) for n in (0, 1))
    for one_pass in (first, second):
        learned = [token for one in one_pass for token in one.ids[1:]]
        assert sorted(learned) == sorted(token for ids in DOCUMENTS for token in ids[1:])
        assert all(len(one.ids) <= 12 and one.learned == ((1, len(one.ids)),) for one in one_pass)
    assert [one.ids for one in first] != [one.ids for one in second]
    for one, other in pairwise(first):  # the token before the first learned one is read with it
        assert other.ids[0] == one.ids[-1] or other.ids[0] % 10 == 0


def test_where_steps_are_cut_changes_no_token() -> None:
    mixed = texts()
    whole = [token for one in mixed.pieces(0, 3 * PASS) for token in one.ids[1:]]
    borders = [0, 1, 2, 20, 21, PASS, 2 * PASS + 3, 3 * PASS]
    parts = [token for a, b in pairwise(borders) for one in texts().pieces(a, b) for token in one.ids[1:]]
    assert parts == whole
    assert [one.ids for one in texts(seed=1).pieces(0, PASS)] != [one.ids for one in mixed.pieces(0, PASS)]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("budget", [16, 64, 4096])
def test_the_gradient_is_that_of_the_mean_over_all_learned_tokens(packing: bool, budget: int) -> None:
    """Float64 from plain logits of each row alone: the parts' losses are their own means, the step's is over both."""
    model = MODELS["llama"]()
    rows, others = (
        dialogues(5),
        [Demonstration("", [7, 8, 9, 4, 5, 6], ((1, 6),), 0), Demonstration("", [3, 4], ((1, 2),), 0)],
    )
    means = []
    for group in (rows, others):
        with torch.no_grad():
            total = sum(nats_of(model, one) for one in group)
        means.append(total / sft.answer_tokens(group))
    loss = sum(sft.answer_nll(model, [one], SFTConfig()) for one in [*rows, *others])
    torch.autograd.backward(loss / sft.answer_tokens([*rows, *others]))  # type: ignore[arg-type]
    expected = gradient_of(model)
    cfg = SFTConfig(packing=packing, micro_batch_tokens=budget)
    numbers = sft.update(
        model, rows, TrainingState(modules={"model": model}, optimizer=Frozen(model)), cfg, 1.0, others
    )
    assert numbers["sft/loss"] == pytest.approx(means[0], rel=1e-5)
    assert numbers["sft/text_loss"] == pytest.approx(means[1], rel=1e-5)
    assert (numbers["sft/tokens"], numbers["sft/text_tokens"]) == (sft.answer_tokens(rows), 6)
    assert_close(expected, gradient_of(model), within=1e-5)


def nats_of(model: Any, one: Demonstration) -> float:
    logp = log_softmax(model(input_ids=torch.tensor([one.ids])).logits[0].double().numpy())
    places = [place for start, stop in one.learned for place in range(start, stop)]
    return -float(sum(logp[place - 1, one.ids[place]] for place in places))


BOOK = "The sea is grey today. A small dog found a friend in the rain. " * 8


@pytest.fixture(scope="module")
def mixed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """The same demonstrations without text and with half of it."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "texts").mkdir()
    (folder / "texts" / "book.txt").write_text(BOOK, encoding="utf-8")
    config = {
        "lr": 5e-3,
        "epochs": 10,
        "batch_size": 8,
        "eval_every": 1000,
        "sample_every": 1000,
        "sample_tokens": 4,
    }
    inputs = {"model": base, "pretraining": folder / "texts"}
    return {
        fraction: run_it(
            folder / str(fraction), "sft", {**config, "pretrain_fraction": fraction},
            data={"train": demonstrations(24)}, inputs=inputs,
        )
        for fraction in (0.0, 0.5)
    }  # fmt: skip


def test_a_run_counts_its_text_and_learns_both(mixed: dict[float, Path]) -> None:
    rows, plain = (read_rows(mixed[fraction] / "metrics.jsonl")[1:] for fraction in (0.5, 0.0))
    answers, others = (sum(row[f"sft/{name}"] for row in rows) for name in ("tokens", "text_tokens"))
    assert answers - 1 <= others <= answers
    assert json.loads((mixed[0.5] / "result.json").read_text())["text_share"] == others / (answers + others)
    for name in ("sft/loss", "sft/text_loss"):
        assert rows[-1][name] < rows[0][name] - 1
    assert rows[0]["sft/loss"] == pytest.approx(plain[0]["sft/loss"], rel=1e-5), "of the answers alone"
    assert [row["sft/tokens"] for row in rows] == [row["sft/tokens"] for row in plain]
    assert not any("text" in name for row in plain for name in row)
    assert max(row["sft/padding_share"] for row in rows) < 0.6


def test_text_is_known_better_where_it_was_mixed_in(mixed: dict[float, Path]) -> None:
    from inference.engine.chat import encode_text
    from inference.engine.models import load_policy

    found = {}
    for fraction, folder in mixed.items():
        model, tokenizer = load_policy(folder / "model")
        ids = encode_text(tokenizer, BOOK)[:90]
        with torch.no_grad():
            found[fraction] = float(
                sft.answer_nll(model, [Demonstration("", ids, ((1, len(ids)),), 0)], SFTConfig())
            )
    assert found[0.5] < 0.7 * found[0.0]
    assert math.isfinite(found[0.0])


@pytest.mark.parametrize(("texts", "code"), [(None, "bad_run"), ("", "empty_dataset")])
def test_without_text_the_run_is_refused(texts: str | None, code: str, base: Path, tmp_path: Path) -> None:
    inputs = {"model": base}
    if texts is not None:
        write_rows(tmp_path / "texts" / "train.jsonl", [])
        inputs["pretraining"] = tmp_path / "texts"
    config = {**PRESETS["test"]["sft"], "pretrain_fraction": 0.1}
    path = make_run(tmp_path, "sft", config, data={"train": demonstrations(4)}, inputs=inputs)
    assert main(["sft", str(path)]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["code"] == code
    assert "pretraining" in error["message"] + error["remedy"]
    assert not (tmp_path / "model").exists()


def test_the_papers_model_that_rl_starts_from() -> None:
    """C.3: two epochs with a tenth of pretraining text; all else as the SFT model of C.1."""
    start, plain = preset("instructgpt-rl-start", "sft").to_json(), preset("instructgpt", "sft").to_json()
    assert {name: value for name, value in start.items() if value != plain[name]} == {
        "lr": 5e-6, "epochs": 2, "pretrain_fraction": 0.1,
    }  # fmt: skip
    assert preset("instructgpt-rl-start", "ppo") == preset("instructgpt", "ppo")
