"""What lies between model versions: runs, the snapshots they read, and how many labelers stand behind those."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q

from inference.selectors import Lineage
from training.models import Round, Run, Snapshot
from training.states import ENDED


def between_versions(version_ids: Collection[UUID]) -> Lineage:
    """Runs that made or read these versions, and their snapshots with the number of labelers: two queries."""
    runs = Run.objects.filter(Q(produced__in=version_ids)).select_related("round").order_by("created_at")
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    wanted: set[UUID] = set()
    for run in runs:
        label = f"{run.kind}, round {run.round.number}" if run.round else run.kind
        nodes.append({"id": str(run.pk), "type": "run", "label": label, "kind": run.kind, "state": run.state})
        sources = {"model": run.model_id, "reference": run.reference_id, "reward": run.reward_id}
        data = {"snapshot": run.snapshot_id, "demonstrations": run.demonstrations_id}
        wanted |= {pk for pk in data.values() if pk is not None}
        for role, pk in {**sources, **data}.items():
            if pk is not None:
                edges.append({"from": str(pk), "to": str(run.pk), "role": role})
        edges.append({"from": str(run.pk), "to": str(run.produced_id), "role": "produced"})
    for snapshot in Snapshot.objects.filter(pk__in=wanted).order_by("created_at"):
        nodes += _snapshot_nodes(snapshot)
        edges.append({"from": f"labelers:{snapshot.pk}", "to": str(snapshot.pk), "role": "answered"})
    return {"nodes": nodes, "edges": edges}


def made_by(version_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """{version: the run that made it}."""
    rows = Run.objects.filter(produced__in=version_ids).values_list("produced_id", "pk")
    return {version: str(run) for version, run in rows}


def round_numbers(version_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """{version: number of the round that made it}."""
    rows = Run.objects.filter(produced__in=version_ids, round__isnull=False)
    return dict(rows.values_list("produced_id", "round__number"))


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
