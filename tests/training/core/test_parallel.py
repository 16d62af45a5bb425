"""Several processes, one model: real processes over gloo, forked after the imports, against one process."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.training.core.attempts import Attempts, rows_without_times, run_differences
from tests.training.core.conftest import told
from tests.training.core.faults import Fault
from tests.training.core.forks import Forks
from tests.training.core.stages import STAGES
from training.core.checkpoint import checkpoints
from training.core.parallel import World

NO_FAULT: tuple[Fault, ...] = ()
# Where one process and two may be compared: dropout draws other masks on other ranks.
ALIKE: dict[str, dict[str, Any]] = {
    "pretrain": {},
    "sft with dropout": {"dropout": 0.0},
    "sft with adapters, chosen by loss": {"dropout": 0.0},
    "reward": {},
    "ppo": {},
    "rloo": {
        "no_eos_reward": None
    },  # Else all answers of this model are worth the same, and nothing is learned.
    "dpo": {},
}
LAYOUT = {"sft/padding_share"}  # how a batch is cut into parts
EVERY_STEP = {"save_every": 1, "keep_checkpoints": 100, "sample_every": 3, "eval_every": 3}


class Seen(World):
    """A rank of a larger world, for what needs no other rank."""

    size = 0
    rank = 0

    def __init__(self, size: int, rank: int) -> None:
        self.size, self.rank = size, rank  # type: ignore[misc]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_the_whole_and_of_like_cost(size: int) -> None:
    costs = [17 * i % 23 + 1 for i in range(40)]
    shares = [Seen(size, rank).share(range(40), lambda i: costs[i]) for rank in range(size)]
    assert sorted(i for share in shares for i in share) == list(range(40))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(costs[i] for i in share) for share in shares]
    assert max(loads) - min(loads) <= max(costs)


def test_a_rank_may_have_nothing_to_do() -> None:
    assert [Seen(3, rank).share([5], float) for rank in range(3)] == [[5], [], []]


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_learn_what_one_learns(
    name: str, models: Mapping[str, Path], forks: Forks, tmp_path: Path
) -> None:
    """Gradients, weights and numbers of every step equal those of one process but for rounding; answers are the same words."""
    stage = STAGES[name]
    one, two = (
        stage.write(tmp_path / count, models, {**EVERY_STEP, **ALIKE[name]}) for count in ("one", "two")
    )
    assert forks.run(stage.kind, one) == 0
    assert forks.run_ranks(stage.kind, two, NO_FAULT, NO_FAULT) == [0, 0]
    for left, right in zip(checkpoints(one.parent), checkpoints(two.parent), strict=True):
        alone, shared = (load_file(path / "tensors.safetensors") for path in (left, right))
        apart = {
            kind: _apart(*(_whole(found, kind) for found in (alone, shared)))
            for kind in ("exp_avg", "module")
        }
        # RLOO's advantages are differences of like rewards, so its gradients carry their rounding a few times over.
        at_first = 3e-6 if name == "rloo" else 1e-6
        assert apart["exp_avg"] <= (at_first if left.name == "step-1" else 1e-5), (
            f"gradients up to {left.name}"
        )
        assert apart["module"] <= 1e-6, f"weights at {left.name}"
    rows, same = (rows_without_times(path.parent / "metrics.jsonl") for path in (one, two))
    assert [row.keys() for row in rows] == [row.keys() for row in same]
    for row, other in zip(rows, same, strict=True):
        for part in (row, other):
            part.update(dict.fromkeys(LAYOUT & part.keys(), 0.0))
        assert other == pytest.approx(row, rel=1e-4, abs=1e-5)
    if stage.samples:
        texts = [[row["text"] for row in rows_without_times(p.parent / "samples.jsonl")] for p in (one, two)]
        assert texts[0] == texts[1]
    assert json.loads((two.parent / "result.json").read_text())["versions"]["processes"] == "2"


def _whole(tensors: Mapping[str, Tensor], kind: str) -> Tensor:
    """All weights, or all first moments of the gradients, as one vector. (A bias that starts from 0 is Adam's noise alone.)"""
    return torch.cat(
        [tensor.flatten().double() for name, tensor in sorted(tensors.items()) if kind in name.split("/")]
    )


def _apart(one: Tensor, other: Tensor) -> float:
    """Length of the difference over the length."""
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize("name", ["sft with dropout", "ppo"])
def test_a_rank_is_killed_and_the_run_goes_on_with_the_same_bits(
    name: str, models: Mapping[str, Path], forks: Forks, tmp_path: Path
) -> None:
    stage = STAGES[name]
    whole = stage.write(tmp_path / "whole", models, EVERY_STEP)
    assert forks.run_ranks(stage.kind, whole, NO_FAULT, NO_FAULT) == [0, 0]
    attempts = Attempts(tmp_path / "broken", stage, models, EVERY_STEP | {"save_every": 2})
    for faults in ([NO_FAULT, [Fault("optimizer", 2)]], [[Fault("backward", 4, when="after")], NO_FAULT]):
        codes = forks.run_ranks(stage.kind, attempts.next(), *faults)
        assert sorted(codes) == [-signal.SIGKILL, 1]
        left = {path.name for path in attempts.path.iterdir()}
        assert not left & {"result.json", "error.json", "model"}, "the one that is left has nothing to tell"
    assert forks.run_ranks(stage.kind, attempts.next(), NO_FAULT, NO_FAULT) == [0, 0]
    assert run_differences(whole.parent, attempts.path) == []


def test_a_signal_to_one_rank_ends_all_with_one_checkpoint(
    models: Mapping[str, Path], forks: Forks, tmp_path: Path
) -> None:
    stage = STAGES["reward"]
    path = stage.write(tmp_path, models, {"save_every": 100})
    codes = forks.run_ranks(stage.kind, path, NO_FAULT, [Fault("optimizer", 1, do="term")])
    assert codes == [128 + signal.SIGTERM] * 2
    assert [one.name for one in checkpoints(tmp_path)] == ["step-2"]
    assert not (tmp_path / "error.json").exists()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("optimizer", 1, when="after", do="spoil"), "nan_loss"),
        (Fault("backward", 1, do="eio"), "io_error"),
    ],
)
def test_what_goes_wrong_on_one_rank_is_told_once(
    fault: Fault, code: str, models: Mapping[str, Path], forks: Forks, tmp_path: Path
) -> None:
    stage = STAGES["sft with dropout"]
    path = stage.write(tmp_path, models, {"save_every": 100})
    assert forks.run_ranks(stage.kind, path, NO_FAULT, [fault]) == [1, 1]
    assert told(tmp_path, 1)["code"] == code
    assert [one.name for one in tmp_path.glob("error*")] == ["error.json"]


def test_ranks_hear_exactly_what_the_others_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats to the bit, no number at all, and words; what is no JSON is told by name before anything is sent."""
    said: list[Tensor] = []

    def all_gather(found: list[Tensor], own: Tensor) -> None:
        said.append(own)
        for tensor in found:
            tensor.copy_(own)

    monkeypatch.setattr("torch.distributed.all_gather", all_gather)
    monkeypatch.setattr("torch.distributed.get_backend", lambda: "gloo")
    thing = {"a": [0.1 + 0.2, 1e-300, math.inf], "b": "你好", "c": {"3": None}}
    assert Seen(2, 0).gather(thing) == [thing, thing]
    assert math.isnan(Seen(2, 0).highest(math.nan))
    said.clear()
    with pytest.raises(TypeError, match="set is not JSON"):
        Seen(2, 0).gather({1, 2})
    assert said == []


def test_gradients_that_one_rank_lacks_are_counted_and_those_all_lack_stay_none() -> None:
    """In one process nothing is touched."""
    module = torch.nn.Linear(2, 1)
    module.weight.grad = torch.ones(1, 2)
    World().sum_gradients({"module": module})
    assert module.weight.grad.tolist() == [[1.0, 1.0]]
    assert module.bias.grad is None
