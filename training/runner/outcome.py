"""What a child left behind: result.json with its model or scores, or error.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from uuid import UUID

from inference.engine.folder import UnsafeModelFolder, check_version_folder
from training.models import Run, RunKind
from training.services.attempts import Outcome, Published, ScoreRow


class BadOutcome(ValueError):
    """result.json or what it names is missing or damaged."""


def read_outcome(run: Run, folder: Path) -> Outcome:
    """The outcome, checked. Raises BadOutcome."""
    result = _json(folder / "result.json")
    if result.get("kind") != run.kind:
        raise BadOutcome(f"result.json is of kind {result.get('kind')!r}; the run is of kind {run.kind}.")
    if run.kind == RunKind.SCORE:
        return Outcome(result=result, scores=tuple(_scores(folder / "scores.jsonl")))
    return Outcome(result=result, model=_model(folder / "model"), raw=_raw(result, folder))


def _model(folder: Path) -> Path:
    try:
        check_version_folder(folder)
    except UnsafeModelFolder as error:
        raise BadOutcome(f"The model folder cannot be registered: {error}") from error
    return folder


def _raw(result: dict[str, Any], folder: Path) -> Published | None:
    """The policy itself, where model/ is its moving average."""
    found = (result.get("also") or {}).get("policy")
    if found is None:
        return None
    return Published(folder=_model(folder / "policy_last"), metrics=found.get("metrics") or {})


def read_error(folder: Path) -> dict[str, str] | None:
    """{"code", "message", "remedy"} of error.json; None if there is none that can be read."""
    try:
        error = _json(folder / "error.json")
        return {name: str(error[name]) for name in ("code", "message", "remedy")}
    except (BadOutcome, KeyError):
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadOutcome(f"{path.name} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise BadOutcome(f"{path.name} is not a JSON object.")
    return data


def _scores(path: Path) -> list[ScoreRow]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [
            ScoreRow(
                completion_id=UUID(row["id"]),
                reward=_finite(row["reward"]),
                kl=None if row.get("kl") is None else _finite(row["kl"]),
                tokens=int(row.get("tokens") or 0),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadOutcome(f"{path.name} cannot be read: {error}") from error


def _finite(number: Any) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number")
    return value
