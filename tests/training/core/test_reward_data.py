"""What a reward model takes in: ties, ratings, weights, splits; and that no result hangs on the way it is laid out (E3)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from inference.engine.models import ScalarModel, load_policy
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import load_run, make_run, rankings, write_rows
from tests.training.core.test_layout import Frozen, gradient_of
from training.core.__main__ import main
from training.core.checkpoint import TrainingState
from training.core.config import PRESETS, RewardConfig
from training.core.data import Dropped, Ranking, read_rankings
from training.core.errors import RunError
from training.core.reward import read_data, update
from training.core.reward_batches import batches_of
from training.core.reward_measure import held_out, under_other_prompts
from training.core.reward_scores import losses_of, scores_of

TEST = PRESETS["test"]["reward"]


def all_tied(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"ranks": dict.fromkeys(row["ranks"], 1)}


def read(
    base: Path, folder: Path, rows: list[dict[str, Any]], **options: Any
) -> tuple[list[Ranking], Dropped]:
    _, tokenizer = load_policy(base)
    write_rows(folder / "train.jsonl", rows)
    dropped = Dropped()
    return read_rankings(folder, "train.jsonl", tokenizer, 96, len(tokenizer), dropped, **options), dropped


def step(
    model: ScalarModel, rows: list[Ranking], cfg: RewardConfig, *, shared: bool = False
) -> tuple[dict[str, float], Tensor]:
    """Numbers and gradient of one step that changes no weight."""
    numbers = update(
        model,
        rows,
        TrainingState(modules={"m": model, "model": model}, optimizer=Frozen(model)),
        cfg,
        1.0,
        shared=shared,
    )
    return numbers, gradient_of(model)


# --- E3 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_scores_are_those_of_a_row_alone_and_of_a_row_padded_on_the_left(
    base: Path, tmp_path: Path, shared: bool
) -> None:
    model, (rows, _) = ScalarModel.from_policy(base, seed=1), read(base, tmp_path, rankings(6))
    with torch.no_grad():
        together = scores_of(model, rows, RewardConfig(), shared=shared).scores
        for b, row in enumerate(rows):
            for k, ids in enumerate(row.answers):
                alone = model.rewards(torch.tensor([ids]), torch.ones(1, len(ids)))
                left = torch.tensor([[9] * 5 + ids]), torch.tensor([[0] * 5 + [1] * len(ids)])
                for found in (alone, model.rewards(*left)):
                    assert float(found) == pytest.approx(float(together[b, k]), abs=1e-5)


def test_loss_and_gradient_do_not_hang_on_micro_batches_or_order(base: Path, tmp_path: Path) -> None:
    model, (rows, _) = ScalarModel.from_policy(base, seed=1), read(base, tmp_path, rankings(8))
    first, expected = step(model, rows, RewardConfig(), shared=True)
    by_length = sorted(rows, key=lambda row: row.longest)
    for order, budget in ((rows, 16), (rows, 250), (by_length, 10_000), (rows[::-1], 500)):
        numbers, gradient = step(model, order, RewardConfig(micro_batch_tokens=budget), shared=True)
        assert numbers["reward/loss"] == pytest.approx(first["reward/loss"], rel=1e-6)
        assert numbers["reward/backbone_tokens"] == first["reward/backbone_tokens"]
        assert float((gradient - expected).norm() / expected.norm()) <= 1e-5


def test_an_epoch_has_each_ranking_once_and_keeps_prompts_together(base: Path, tmp_path: Path) -> None:
    rows, _ = read(base, tmp_path, rankings(40))  # of 12 prompts
    for window in (1, 2, 8):
        cfg = RewardConfig(batch_size=4, sort_window=window)
        batches = batches_of(rows, cfg, seed=0, epoch=1)
        assert sorted(i for batch in batches for i in batch) == list(range(40))
        assert max(map(len, batches)) <= 4
        home = {i: b for b, batch in enumerate(batches) for i in batch}
        assert all(
            home[i] == home[i + 12] or home[i] == home[i + 24] or home[i + 12] == home[i + 24]
            for i in range(4)
        )
        assert batches != batches_of(rows, cfg, seed=0, epoch=2)
        assert batches == batches_of(rows, cfg, seed=0, epoch=1)


# --- ties, weights, margins ---------------------------------------------------------------------------------------------


def test_all_tied_rankings_are_counted_and_teach_only_where_ties_count(base: Path, tmp_path: Path) -> None:
    data = [*rankings(3), all_tied(rankings(4)[3])]
    kept, dropped = read(base, tmp_path, data)
    assert (len(kept), dropped["rankings_all_tied"]) == (3, 1)
    every, none = read(base, tmp_path, data, ties="half")
    assert (len(every), none.total()) == (4, 0)
    model, tied = ScalarModel.from_policy(base, seed=1), every[3:]
    numbers, gradient = step(model, tied, RewardConfig(ties="half"), shared=True)
    assert (numbers["reward/pairs"], numbers["reward/tied_pairs"]) == (0, 6)
    assert numbers["reward/loss"] > 0.69  # log 2 is the least that a tied pair can cost
    assert float(gradient.norm()) > 0
    assert "reward/accuracy" not in numbers
    with torch.no_grad():
        assert float(losses_of(scores_of(model, tied, RewardConfig()), RewardConfig())) == 0


def test_nothing_but_ties_ends_the_run_with_their_count(base: Path, tmp_path: Path) -> None:
    data = {"train": [all_tied(row) for row in rankings(3)]}
    assert main(["reward", str(make_run(tmp_path, "reward", TEST, data=data, inputs={"model": base}))]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["code"] == "empty_dataset"
    assert "rankings_all_tied: 3" in error["message"]
    assert not (tmp_path / "model").exists()


def test_a_run_on_ties_alone_pulls_scores_together_where_ties_count(base: Path, tmp_path: Path) -> None:
    data = {"train": [all_tied(row) for row in rankings(12)]}
    run_it(
        tmp_path,
        "reward",
        {**TEST, "ties": "half", "epochs": 4, "lr": 3e-3, "batch_size": 12},
        data=data,
        inputs={"model": base},
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["reward/loss"] < rows[1]["reward/loss"]


def test_weights_divide_nothing_and_scale_their_ranking(base: Path, tmp_path: Path) -> None:
    model = ScalarModel.from_policy(base, seed=1)
    one, two = (read(base, tmp_path, [row | {"weight": w} for row, w in zip(rankings(2), weights, strict=True)])[0]
                for weights in ((1.0, 0.0), (0.5, 0.0)))  # fmt: skip
    (full, gradient), (half, halved) = step(model, one, RewardConfig()), step(model, two, RewardConfig())
    assert half["reward/loss"] == pytest.approx(full["reward/loss"] / 2)
    assert float((gradient - 2 * halved).norm() / gradient.norm()) <= 1e-5


def test_margins_come_from_ranks_or_from_ratings(base: Path, tmp_path: Path) -> None:
    (row,) = rankings(2)[1:]
    best, second, *rest = sorted(row["ranks"], key=row["ranks"].__getitem__)
    rows, _ = read(base, tmp_path, [row | {"ratings": {best: 7, second: 4}}])
    model = ScalarModel.from_policy(base, seed=1)
    plain, by_rank, by_rating = (
        scores_of(model, rows, RewardConfig(margin=0.5, margin_by=by)).levels[0]
        for by in ("rank_distance", "rank_distance", "rating")
    )
    assert plain.tolist() == by_rank.tolist() == rows[0].ranks
    assert sorted(by_rating.nan_to_num(99).tolist()) == [-7, -4, *[99.0] * len(rest)]
    losses = {
        name: float(losses_of(scores_of(model, rows, cfg), cfg).detach())
        for name, cfg in {"off": RewardConfig(), "rank": RewardConfig(margin=0.5), "rating": RewardConfig(margin=0.5, margin_by="rating")}.items()
    }  # fmt: skip
    assert (
        losses["off"] < losses["rating"] < losses["rank"]
    )  # one pair has a stated gap, all six have a rank distance


def test_centring_costs_what_scores_are_off_zero(base: Path, tmp_path: Path) -> None:
    model, (rows, _) = ScalarModel.from_policy(base, seed=1), read(base, tmp_path, rankings(2)[1:])
    with torch.no_grad():
        scored = scores_of(model, rows, RewardConfig())
        moved = scored._replace(scores=scored.scores + 10)
        off, cfg = RewardConfig(), RewardConfig(centering=0.01)
        assert float(losses_of(moved, off)) == pytest.approx(float(losses_of(scored, off)), abs=1e-5)
        assert float(losses_of(moved, cfg) - losses_of(moved, off)) == pytest.approx(
            4, rel=0.2
        )  # 0.01 x (10 + 10)^2


@pytest.mark.parametrize("ratings", [[1, 2], {"r0": "good"}, {"r0": True}])
def test_ratings_that_are_no_numbers_are_refused(base: Path, tmp_path: Path, ratings: Any) -> None:
    with pytest.raises(RunError, match=r"train\.jsonl line 1 has (a rating|ratings)"):
        read(base, tmp_path, [rankings(1)[0] | {"ratings": ratings}])


@pytest.mark.parametrize("rating", [math.inf, -math.inf, math.nan, 1e300, 10**400, -10_001])
def test_ratings_out_of_range_are_refused_by_name_and_with_the_range(
    base: Path, tmp_path: Path, rating: float
) -> None:
    with pytest.raises(RunError, match=r"train\.jsonl line 1 has under ratings\['r2'\]") as refused:
        read(base, tmp_path, [rankings(1)[0] | {"ratings": {"r2": rating}}])
    assert refused.value.code == "bad_dataset"
    assert "from -10000 to 10000" in refused.value.remedy


# --- splits and foreign prompts -----------------------------------------------------------------------------------------


def test_a_prompt_in_two_splits_ends_the_run(base: Path, tmp_path: Path) -> None:
    train, valid = ([row | {"prompt_id": f"{name}{n}"} for n, row in enumerate(rankings(3))] for name in "ab")
    valid[1]["prompt_id"] = "a2"
    data = {"train": train, "valid": valid}
    assert main(["reward", str(make_run(tmp_path, "reward", TEST, data=data, inputs={"model": base}))]) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert (error["code"], "a2" in error["message"]) == ("split_leak", True)


def test_prompts_that_read_alike_are_counted(base: Path, tmp_path: Path) -> None:
    _, tokenizer = load_policy(base)
    run = load_run(
        tmp_path, "reward", TEST, data={"train": rankings(3), "valid": rankings(5)}, inputs={"model": base}
    )
    assert read_data(run, RewardConfig(), tokenizer, 96, len(tokenizer)).seen_in_training == 3


def test_foreign_prompts_leave_answers_and_ranks_as_they_are(base: Path, tmp_path: Path) -> None:
    rows, _ = read(base, tmp_path, rankings(5))
    swapped = under_other_prompts(rows, 96)
    assert [row.ranks for row in swapped] == [row.ranks for row in rows]
    for row, other in zip(rows, swapped, strict=True):
        assert other.prompt != row.prompt
        assert other.prompt in {one.prompt for one in rows}
        assert [ids[other.prompt_tokens :] for ids in other.answers] == [
            ids[row.prompt_tokens :] for ids in row.answers
        ]
    assert under_other_prompts(rows[:1], 96) == []  # no other prompt
    assert under_other_prompts(rows, max(len(row.prompt) for row in rows)) == []  # none that fits


def written(row: dict[str, Any], *versions: str) -> dict[str, Any]:
    """The ranking with answers by these versions, one after the other, round and round."""
    return row | {
        "responses": [
            one | {"version": versions[n % len(versions)]} for n, one in enumerate(row["responses"])
        ]
    }


def test_a_labeler_on_both_sides_ends_the_run(base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "others" / "valid.jsonl", rankings(1))
    inputs = {"model": base, "heldout_labelers": tmp_path / "others"}
    assert (
        main(["reward", str(make_run(tmp_path, "reward", TEST, data={"train": rankings(3)}, inputs=inputs))])
        == 1
    )
    assert json.loads((tmp_path / "error.json").read_text())["code"] == "labeler_leak"


def test_the_report_travels_with_the_version(base: Path, tmp_path: Path) -> None:
    valid = [
        written(row, "v1", "v2") | {"labeler": f"h:{n % 2}", "confidence": 3, "id": f"v{n}"}
        for n, row in enumerate([*rankings(3), *rankings(3)])
    ]
    others = [
        row | {"labeler": f"h:{n + 7}"} for n, row in enumerate([*rankings(5)[3:], all_tied(rankings(1)[0])])
    ]
    write_rows(tmp_path / "others" / "valid.jsonl", others)
    run_it(
        tmp_path,
        "reward",
        TEST,
        data={"train": rankings(8), "valid": valid},
        inputs={"model": base, "heldout_labelers": tmp_path / "others"},
    )
    report = json.loads((tmp_path / "report.json").read_text())
    result = json.loads((tmp_path / "result.json").read_text())
    assert report == result["report"]
    assert (result["rankings"], result["valid_rankings"]) == (
        8,
        6,
    )  # Whoever is measured on beside is in neither.
    lineage = json.loads((tmp_path / "model" / "lineage.json").read_text())
    assert lineage["report"] == {name: value for name, value in report.items() if name != "by_labeler"}
    assert lineage["metrics"]["reward/labeler_agreement"] == report["labeler_agreement"] == 1.0
    assert [one["labeler"] for one in report["by_labeler"]] == ["h:0", "h:1"]
    assert [one["confidence"] for one in report["by_confidence"]] == [3]
    assert [(one["version"], one["pairs"]) for one in report["by_source"]] == [
        ("v1", 6),
        ("v2", 6),
        (None, 22),  # Four a ranking, but for the tie in two of six.
    ]
    # A tie in the first of two, none in the other.
    assert (report["heldout_labelers"]["pairs"], report["heldout_labelers"]["labelers"]) == (5 + 6, 2)
    assert lineage["metrics"]["reward/heldout_labelers_accuracy"] == report["heldout_labelers"]["accuracy"]
    assert lineage["dropped"]["heldout_labelers_rankings_all_tied"] == 1
    assert "Reliability on validation pairs" in (tmp_path / "model" / "README.md").read_text()
    # A version may leave the server, how well single labelers are foretold does not.
    assert not [path for path in (tmp_path / "model").iterdir() if b"h:0" in path.read_bytes()]


def test_held_out_numbers_are_the_same_either_way(base: Path, tmp_path: Path) -> None:
    model, (rows, _) = ScalarModel.from_policy(base, seed=1), read(base, tmp_path, rankings(6))
    one, other = (
        held_out(model, rows, RewardConfig(micro_batch_tokens=200), shared=shared) for shared in (True, False)
    )
    assert one == pytest.approx(other, abs=1e-5)


def test_a_rank_that_float32_cannot_tell_from_its_neighbour_is_refused(base: Path, tmp_path: Path) -> None:
    row = rankings(2)[1]
    row["ranks"]["r1"] = -(10**6)
    assert min(read(base, tmp_path, [row])[0][0].ranks) == -(10**6)
    for rank in (10**6 + 1, 10**30):
        row["ranks"]["r1"] = rank
        with pytest.raises(RunError, match=r"train\.jsonl line 1 has a rank beyond 1,000,000"):
            read(base, tmp_path, [row])


def test_two_answers_of_one_ranking_have_different_ids(base: Path, tmp_path: Path) -> None:
    row = rankings(2)[1]
    row["responses"][1]["id"] = row["responses"][0]["id"]
    with pytest.raises(RunError, match="two responses with the id"):
        read(base, tmp_path, [row])
