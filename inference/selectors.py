"""Reads of versions, jobs and completions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypedDict
from uuid import UUID

from django.db.models import Count, QuerySet

from accounts.access import Viewer, projects_visible_to
from accounts.models import Project
from inference.models import Completion, ModelVersion, SamplingJob, VersionParent
from inference.states import Stage


def versions_visible_to(viewer: Viewer) -> QuerySet[ModelVersion]:
    """Versions of the viewer's projects, newest first, with their parents loaded."""
    return (
        ModelVersion.objects.filter(project__in=projects_visible_to(viewer))
        .prefetch_related("parent_links__parent")
        .order_by("-created_at", "-id")
    )


def current_policy(project: Project) -> ModelVersion | None:
    """The version that the next round samples from."""
    return ModelVersion.objects.filter(project=project, stage=Stage.CURRENT).first()


def current_policies(project_ids: Collection[UUID]) -> dict[UUID, dict[str, str]]:
    """{project: {"id", "name"}} of each current policy, in one query."""
    rows = ModelVersion.objects.filter(project__in=project_ids, stage=Stage.CURRENT).values_list(
        "project_id", "id", "name"
    )
    return {project_id: {"id": str(pk), "name": name} for project_id, pk, name in rows}


def count_versions(project_ids: Collection[UUID]) -> dict[UUID, int]:
    """{project: how many versions it has}, in one query."""
    rows = (
        ModelVersion.objects.filter(project__in=project_ids).values("project_id").annotate(count=Count("id"))
    )
    return {row["project_id"]: row["count"] for row in rows}


def completions_of(job: SamplingJob) -> QuerySet[Completion]:
    """What a job wrote, with each one's request, by prompt key and candidate."""
    return (
        Completion.objects.filter(request__job=job)
        .select_related("request")
        .order_by("request__key", "candidate")
    )


class Lineage(TypedDict):
    """A graph that can be walked both ways.

    A node is {"id", "type": version | run | snapshot | labelers, "label", ...}; an edge {"from", "to", "role"} says
    that `to` was made from, or by, `from`.
    """

    nodes: list[dict[str, Any]]
    edges: list[dict[str, str]]


# Apps above know the runs and snapshots between versions: version ids -> more nodes and edges.
Extend = Callable[[Collection[UUID]], Lineage]
_EXTENSIONS: dict[str, Extend] = {}


def extend_lineage(name: str, find: Extend) -> None:
    """Register how to find what lies between versions; again replaces. Called from `AppConfig.ready()`."""
    _EXTENSIONS[name] = find


def lineage(version: ModelVersion) -> Lineage:
    """Everything that `version` was made from, however far back, and everything that was made from it."""
    links = list(
        VersionParent.objects.filter(child__project_id=version.project_id).values_list(
            "parent", "child", "role"
        )
    )
    up: dict[UUID, list[UUID]] = defaultdict(list)
    down: dict[UUID, list[UUID]] = defaultdict(list)
    for parent, child, _ in links:
        up[child].append(parent)
        down[parent].append(child)
    ids = _reachable(version.pk, up) | _reachable(version.pk, down)
    rows = ModelVersion.objects.filter(pk__in=ids).order_by("created_at", "id")
    nodes: list[dict[str, Any]] = [
        {"id": str(row.pk), "type": "version", "label": row.name, "kind": row.kind, "stage": row.stage}
        for row in rows
    ]
    edges = [
        {"from": str(parent), "to": str(child), "role": role}
        for parent, child, role in links
        if parent in ids and child in ids
    ]
    for find in _EXTENSIONS.values():
        more = find(ids)
        nodes += more["nodes"]
        edges += more["edges"]
    return {"nodes": nodes, "edges": edges}


def _reachable(start: UUID, edges: Mapping[UUID, list[UUID]]) -> set[UUID]:
    seen, todo = {start}, [start]
    while todo:
        for one in edges.get(todo.pop(), []):
            if one not in seen:
                seen.add(one)
                todo.append(one)
    return seen
