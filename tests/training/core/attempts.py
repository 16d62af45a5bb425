"""A run in several attempts, each in a folder of its own that goes on from the last, as a supervisor makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from tests.training.core.stages import Stage
from training.core.checkpoint import checkpoints
from training.core.metrics import TIMING_COLUMNS
from training.core.report import read_rows
from training.runner.folder import AttemptFolder, resume


class Attempts:
    """The attempts of one run: `folder`/attempt-1, attempt-2, ..."""

    def __init__(
        self, folder: Path, stage: Stage, models: Mapping[str, Path], config: Mapping[str, Any]
    ) -> None:
        self.folder, self.stage, self.models, self.config = folder, stage, models, config
        self.fence = 0
        self.named = ""  # the checkpoint that the run's row would name

    @property
    def path(self) -> Path:
        return self.folder / f"attempt-{self.fence}"

    def next(self) -> Path:
        """The run.json of a new attempt, which goes on from the newest whole checkpoint of those before."""
        if self.fence and (found := checkpoints(self.path)):
            self.named = f"{self.path.name}/{found[-1].name}"
        self.fence += 1
        ready = AttemptFolder(self.path)
        (ready.path / "inputs").mkdir(parents=True)
        resume(ready, self.named)
        step = f"step-{ready.resumed_step}" if ready.resumed_from else None
        return self.stage.write(self.path, self.models, self.config, resume_from=step, attempt=self.fence)


def run_differences(one: Path, other: Path) -> list[str]:
    """Where two finished runs are not the same, bit for bit: weights, optimizer, generators, rows, samples, result."""
    found = checkpoint_differences(_last(one), _last(other))
    for path in sorted(one.glob("*/model.safetensors")):
        found += _tensor_differences(path, other / path.relative_to(one))
    for name in ("metrics.jsonl", "samples.jsonl"):
        if rows_without_times(one / name) != rows_without_times(other / name):
            found.append(name)
    if _result(one) != _result(other):
        found.append("result.json")
    return found


def _last(folder: Path) -> Path:
    """The checkpoint of the last step: in the folder, or the one it went on from, where only publishing was left."""
    return (checkpoints(folder) or [folder / "inputs" / "checkpoint"])[-1]


def checkpoint_differences(one: Path, other: Path) -> list[str]:
    """Names of the tensors and fields in which two checkpoints differ."""
    found = _tensor_differences(one / "tensors.safetensors", other / "tensors.safetensors")
    states = [json.loads((folder / "state.json").read_text(encoding="utf-8")) for folder in (one, other)]
    for state in states:
        state["numbers"]["last_row"] = _without_times(state["numbers"]["last_row"])
    return found + [f"state.json: {key}" for key in states[0] if states[0][key] != states[1].get(key)]


def rows_without_times(path: Path) -> list[dict[str, Any]]:
    return [_without_times(row) for row in read_rows(path)]


def _without_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TIMING_COLUMNS}


def _tensor_differences(one: Path, other: Path) -> list[str]:
    tensors, others = load_file(one), load_file(other)
    if tensors.keys() != others.keys():
        return [f"names of {one.name}"]
    return [f"{one.name}: {name}" for name in tensors if not tensors[name].equal(others[name])]


# Of an attempt and not of the run. The reward model checks its shared pass on the first batch that an attempt sees.
OF_AN_ATTEMPT = ("seconds", "resumed_at", "shared_prefix")


def _result(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in result.items() if name not in OF_AN_ATTEMPT}
    also = {role: _without_times(one["metrics"]) for role, one in result.get("also", {}).items()}
    return {**kept, "metrics": _without_times(result["metrics"]), "also": also}
