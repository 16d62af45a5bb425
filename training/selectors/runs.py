"""Reads of runs: what a page shows of one, its rows, its samples, its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from accounts.access import Viewer, projects_visible_to
from training.core.metrics import METRICS
from training.models import Attempt, Metric, Run
from training.places import attempt_folder
from training.states import RunState

MAX_SAMPLES = 500
SAMPLES_BYTES = 4 * 1024 * 1024
LOG_BYTES = 65_536
LOG_NAMES = ("log.txt.1", "log.txt")


def runs_visible_to(viewer: Viewer) -> QuerySet[Run]:
    """Runs of the viewer's projects, newest first, with all that a page shows of them: two queries in all."""
    return (
        Run.objects.filter(project__in=projects_visible_to(viewer))
        .annotate(ahead=_runs_ahead())
        .select_related(
            "round", "model", "reference", "reward", "judge", "produced", "produced_raw", "snapshot"
        )
        .prefetch_related("attempts")
        .order_by("-created_at", "-pk")
    )


def _runs_ahead() -> Case:
    """How many runs of all projects a training worker has in hand or takes first; null for one that does not wait."""
    earlier = Q(state=RunState.QUEUED, created_at__lt=OuterRef("created_at"))
    before = Run.objects.filter(Q(state=RunState.RUNNING) | earlier).order_by()
    count = before.annotate(all=Value(1)).values("all").annotate(n=Count("*")).values("n")
    return Case(When(state=RunState.QUEUED, then=Coalesce(Subquery(count), 0)))


def run_body(run: Run) -> dict[str, Any]:
    """One run of `runs_visible_to` as REST and the event stream show it."""
    return {
        "id": run.pk,
        "kind": run.kind,
        "state": run.state,
        "round": {"id": run.round.pk, "number": run.round.number} if run.round else None,
        "config": run.config,
        "seed": run.seed,
        "step": run.step,
        "progress": run.progress,
        "eta_seconds": run.eta_seconds,
        "ahead": run.ahead,  # type: ignore[attr-defined]  # annotated
        "error": run.error or None,
        "result": run.result,
        "produced": run.produced,
        "produced_raw": run.produced_raw,
        "stopped": run.stopped,
        "model": run.model,
        "reference": run.reference,
        "reward": run.reward,
        "judge": run.judge,
        "snapshot": run.snapshot,
        "cancel_requested": run.cancel_requested_at is not None
        and run.state in (RunState.QUEUED, RunState.RUNNING),
        "attempts": [attempt_body(one) for one in sorted(run.attempts.all(), key=lambda one: one.fence)],
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def attempt_body(attempt: Attempt) -> dict[str, Any]:
    """One attempt of a run."""
    names = ("fence", "state", "reason", "started_at", "ended_at", "resumed_from")
    return {name: getattr(attempt, name) for name in names}


def metric_rows(run: Run, *, after: int = -1) -> list[dict[str, Any]]:
    """[{"step", "values"}] by step, after a step. The values have the names of `glossary`."""
    rows = Metric.objects.filter(run=run, step__gt=after).order_by("step").values_list("step", "values")
    return [
        {"step": step, "values": {k: v for k, v in values.items() if k != "time"}} for step, values in rows
    ]


def glossary() -> dict[str, dict[str, str]]:
    """What every number means: {name: {"unit", "help", "healthy"}}."""
    return {
        name: {"unit": one.unit, "help": one.meaning, "healthy": one.healthy} for name, one in METRICS.items()
    }


def samples_of(run: Run) -> list[dict[str, Any]]:
    """What the model said to a few fixed prompts as it learned, newest last; from the newest attempt that has some."""
    for fence in range(run.fence, 0, -1):
        path = attempt_folder(run.pk, fence) / "samples.jsonl"
        if path.is_file() and path.stat().st_size:
            return _json_lines(path)[-MAX_SAMPLES:]
    return []


def log_of(run: Run) -> str:
    """The last words of the newest attempt."""
    folder = attempt_folder(run.pk, run.fence)
    parts = [_tail(folder / name) for name in LOG_NAMES]
    return b"".join(parts)[-LOG_BYTES:].decode("utf-8", errors="replace").replace("\x00", "")


def _tail(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read(LOG_BYTES)


def _json_lines(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        lines = file.read(SAMPLES_BYTES).split(b"\n")[:-1]
    return [_sample(row) for line in lines if isinstance(row := _parsed(line), dict)]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "step": int(row.get("step") or 0),
        "prompt": row.get("prompt") or [],
        "text": str(row.get("text") or ""),
        "reward": row.get("reward"),
        "kl": row.get("kl"),
    }
