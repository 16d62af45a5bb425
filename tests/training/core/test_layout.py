"""E2, E3: results hang on the data and the settings, never on padding, order, micro-batches or the way pairs are made."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import logsigmoid

from inference.engine.models import ScalarModel, load_policy
from tests.training.core.rundirs import demonstrations, rankings, with_dropout, write_rows
from tests.training.core.stages import LOOKS, STAGES
from training.core import sft
from training.core.__main__ import main
from training.core.checkpoint import TrainingState
from training.core.config import RewardConfig, SFTConfig
from training.core.data import Demonstration, Dropped, Ranking, read_demonstrations, read_rankings
from training.core.reward import update
from training.core.reward_batches import batches_of
from training.core.reward_scores import scores_of


def read_sft(base: Path, folder: Path, count: int) -> tuple[Any, list[Demonstration]]:
    model, tokenizer = load_policy(base)
    write_rows(folder / "train.jsonl", demonstrations(count))
    return model, read_demonstrations(folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())


def gradient_of(model: torch.nn.Module) -> Tensor:
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad(set_to_none=True)
    return found


def assert_close(one: Tensor, other: Tensor, within: float = 1e-5) -> None:
    assert float((one - other).abs().max()) <= within * max(float(one.abs().max()), 1.0)


class Frozen(torch.optim.SGD):
    """Leaves gradients where they are, so that a test can look at them."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(module.parameters(), lr=0.0)
        for group in self.param_groups:
            group["peak_lr"] = 0.0
        self.steps = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # counts, and never asks for a loss
        self.steps += 1


# --- SFT ------------------------------------------------------------------------------------------------------------


def test_sft_gradients_do_not_depend_on_the_micro_batch(base: Path, tmp_path: Path) -> None:
    model, rows = read_sft(base, tmp_path, 8)
    found = []
    for budget in (16, 60, 130, 10_000):
        state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
        numbers = sft.update(model, rows, state, SFTConfig(micro_batch_tokens=budget), 1.0)
        found.append((numbers["sft/loss"], gradient_of(model)))
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert_close(found[0][1], gradient, within=1e-6)


def test_a_batch_loss_is_the_mean_over_tokens_and_not_over_rows(base: Path, tmp_path: Path) -> None:
    model, rows = read_sft(base, tmp_path, 6)
    cfg = SFTConfig()
    with torch.no_grad():
        alone = [float(sft.answer_nll(model, [row], cfg)) for row in rows]
        all_of_them = float(sft.answer_nll(model, rows, cfg))
    lengths = [len(row.ids) - row.prompt_tokens for row in rows]
    assert len(set(lengths)) > 1
    together = all_of_them / sum(lengths)
    assert together == pytest.approx(sum(alone) / sum(lengths), rel=1e-5)


# --- reward model ---------------------------------------------------------------------------------------------------


def read_reward(base: Path, folder: Path, count: int, answers: int = 4) -> tuple[ScalarModel, list[Ranking]]:
    _, tokenizer = load_policy(base)
    write_rows(folder / "train.jsonl", rankings(count, answers))
    return ScalarModel.from_policy(base, seed=1), read_rankings(
        folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped()
    )


def test_the_k_wise_loss_and_its_gradient_are_those_of_all_pairs(base: Path, tmp_path: Path) -> None:
    model, rows = read_reward(base, tmp_path, 5, answers=6)
    state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
    loss = update(model, rows, state, RewardConfig(), 1.0)["reward/loss"]
    k_wise = gradient_of(model)

    total = torch.zeros(())
    for row in rows:
        pairs = [
            (i, j) if row.ranks[i] < row.ranks[j] else (j, i)
            for i, j in combinations(range(len(row.ranks)), 2)
            if row.ranks[i] != row.ranks[j]
        ]
        for better, worse in pairs:  # Each pair by two passes of its own, without any padding.
            margin = [
                model.rewards(torch.tensor([row.answers[k]]), torch.ones(1, len(row.answers[k])))
                for k in (better, worse)
            ]
            total = total - logsigmoid(margin[0] - margin[1]).sum() / len(pairs) / len(rows)
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=1e-6)
    assert_close(gradient_of(model), k_wise)


def test_each_answer_passes_the_model_once(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = read_reward(base, tmp_path, 6, answers=9)
    seen = []
    model.backbone.register_forward_pre_hook(
        lambda _m, _a, kw: seen.append(int(kw["attention_mask"].sum())), with_kwargs=True
    )
    update(model, rows, TrainingState(modules={"model": model}, optimizer=Frozen(model)), RewardConfig(), 1.0)
    assert sum(seen) == sum(len(answer) for row in rows for answer in row.answers)


def test_reward_gradients_do_not_depend_on_the_micro_batch(base: Path, tmp_path: Path) -> None:
    model, rows = read_reward(base, tmp_path, 7)
    found = []
    for budget in (16, 400, 100_000):
        state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
        found.append(
            (
                update(model, rows, state, RewardConfig(micro_batch_tokens=budget), 1.0)["reward/loss"],
                gradient_of(model),
            )
        )
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert_close(found[0][1], gradient, within=1e-6)


def test_a_ranking_of_nine_weighs_as_much_as_one_of_four(base: Path, tmp_path: Path) -> None:
    model, four = read_reward(base, tmp_path / "four", 1)
    _, nine = read_reward(base, tmp_path / "nine", 1, answers=9)
    each = [update_loss(model, [row]) for row in (four[0], nine[0])]
    assert update_loss(model, [four[0], nine[0]]) == pytest.approx(sum(each) / 2, rel=1e-6)
    with torch.no_grad():
        model.score.weight.zero_()  # Where all score alike, every pair costs log 2, and so does their mean.
    assert [update_loss(model, [row]) for row in (four[0], nine[0])] == pytest.approx([math.log(2)] * 2)


def update_loss(model: ScalarModel, rows: list[Ranking]) -> float:
    state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
    loss = update(model, rows, state, RewardConfig(), 1.0)["reward/loss"]
    model.zero_grad(set_to_none=True)
    return loss


def test_scores_do_not_depend_on_who_else_is_in_the_batch(base: Path, tmp_path: Path) -> None:
    model, rows = read_reward(base, tmp_path, 6)
    with torch.no_grad():
        together = scores_of(model, rows, RewardConfig())[0]
        for b, row in enumerate(rows):
            assert_close(scores_of(model, [row], RewardConfig())[0][0], together[b, : len(row.ranks)])


def test_all_answers_of_a_prompt_stay_in_one_batch(base: Path, tmp_path: Path) -> None:
    _, rows = read_reward(base, tmp_path, 11)
    batches = batches_of(rows, RewardConfig(batch_size=4, sort_window=1), seed=0, epoch=0)
    assert sorted(i for batch in batches for i in batch) == list(range(11))
    assert [len(batch) for batch in batches] == [4, 4, 3]


# --- dropout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reward", "dpo"])
def test_dropout_of_the_folders_config_changes_nothing(name: str, base: Path, tmp_path: Path) -> None:
    """Neither learns with any, and what is published asks for none."""
    found = []
    for model in (base, with_dropout(base, tmp_path / "dropping")):
        folder = tmp_path / f"from {model.name}"
        assert main([name, str(STAGES[name].write(folder, {"model": model}, LOOKS))]) == 0
        published = folder / "model"
        found.append((load_file(published / "model.safetensors"), (published / "config.json").read_text()))
    (weights, config), (others, other_config) = found
    assert max(float((x - others[at]).abs().max()) for at, x in weights.items()) == 0
    assert config == other_config
