"""What lies between model versions: runs, the snapshots they read, and how many labelers stand behind those."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q

from inference.selectors import Lineage
from training.models import Round, Run, Snapshot
from training.states import ENDED


def between_versions(version_ids: Collection[UUID]) -> Lineage:
    """Runs that made or read these versions, and their snapshots with the number of labelers: two queries."""
    shown = set(version_ids)
    made = Q(produced__in=shown) | Q(produced_raw__in=shown)
    runs = Run.objects.filter(made).select_related("round").order_by("created_at")
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    wanted: set[UUID] = set()
    for run in runs:
        label = f"{run.kind}, round {run.round.number}" if run.round else run.kind
        nodes.append({"id": str(run.pk), "type": "run", "label": label, "kind": run.kind, "state": run.state})
        sources = {
            "model": run.model_id, "reference": run.reference_id, "reward": run.reward_id, "judge": run.judge_id,
        }  # fmt: skip
        data = {
            "snapshot": run.snapshot_id,
            "demonstrations": run.demonstrations_id,
            "heldout_labelers": run.heldout_labelers_id,
        }
        wanted |= {pk for pk in data.values() if pk is not None}
        for role, pk in {**sources, **data}.items():
            if pk is not None:
                edges.append({"from": str(pk), "to": str(run.pk), "role": role})
        for role, pk in {"produced": run.produced_id, "produced_raw": run.produced_raw_id}.items():
            if pk in shown:
                edges.append({"from": str(run.pk), "to": str(pk), "role": role})
    for snapshot in Snapshot.objects.filter(pk__in=wanted).order_by("created_at"):
        nodes += _snapshot_nodes(snapshot)
        edges.append({"from": f"labelers:{snapshot.pk}", "to": str(snapshot.pk), "role": "answered"})
    return {"nodes": nodes, "edges": edges}


def made_by(version_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """{version: the run that made it}."""
    return {version: str(run.pk) for version, run in _makers(version_ids)}


def round_numbers(version_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """{version: number of the round that made it}."""
    return {version: run.round.number for version, run in _makers(version_ids) if run.round is not None}


def _makers(version_ids: Collection[UUID]) -> Iterator[tuple[UUID, Run]]:
    """Each version with the run that made it, in whichever role."""
    wanted = set(version_ids)
    runs = Run.objects.filter(Q(produced__in=wanted) | Q(produced_raw__in=wanted)).select_related("round")
    for run in runs:
        for pk in (run.produced_id, run.produced_raw_id):
            if pk in wanted:
                yield pk, run


def live_rounds(project_ids: Collection[UUID]) -> Mapping[UUID, dict[str, Any]]:
    """{project: {"id", "number", "state"}} of each live round."""
    rows = Round.objects.filter(project__in=project_ids).exclude(state__in=ENDED)
    return {row.project_id: {"id": str(row.pk), "number": row.number, "state": row.state} for row in rows}


def _snapshot_nodes(snapshot: Snapshot) -> list[dict[str, Any]]:
    counts = snapshot.counts
    total, labelers = counts.get("total", 0), counts.get("labelers", 0)
    return [
        {
            "id": str(snapshot.pk),
            "type": "snapshot",
            "label": f"{snapshot.kind}, {total} rows",
            "kind": snapshot.kind,
            "count": total,
        },
        {
            "id": f"labelers:{snapshot.pk}",
            "type": "labelers",
            "label": f"{labelers} labelers",
            "count": labelers,
        },
    ]
