"""How far a batch is, from the labelers' own counters: as many rows as labelers, however many tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django.db.models import Count, Max, Sum
from django.utils.timezone import now

from labeling.models import Batch, Demonstration, Prompt, Ranking, Slot, Tally


def batch_progress(batch: Batch) -> tuple[int, int]:
    """(answers that count, answers wanted)."""
    done = Tally.objects.filter(batch=batch).aggregate(done=Sum("answers"))["done"]
    return done or 0, batch.quota


class Held(TypedDict):
    """Tasks that people have before them, and when the last of their leases ends unless they work on."""

    tasks: int
    until: datetime


def held_by_people(batch: Batch) -> Held | None:
    """What people hold of a batch now; None where they hold nothing. Simulated labelers don't count: they never wait."""
    leases = Slot.objects.filter(
        task__batch=batch, is_open=True, lease_until__gt=now(), labeler__is_synthetic=False
    )
    found = leases.aggregate(tasks=Count("pk"), until=Max("lease_until"))
    return {"tasks": found["tasks"], "until": found["until"]} if found["tasks"] else None


def prompts_by_project(ids: Collection[UUID]) -> Mapping[UUID, int]:
    """How many prompts each project has."""
    return _count(Prompt.objects.filter(project__in=ids))


def open_tasks_by_project(ids: Collection[UUID]) -> Mapping[UUID, int]:
    """How many answers are still wanted in each project."""
    return _count(Slot.objects.filter(project__in=ids, is_open=True))


def rankings_by_project(ids: Collection[UUID]) -> Mapping[UUID, int]:
    """How many rankings each project has, revisions once."""
    return _count(Ranking.objects.filter(project__in=ids, is_latest=True))


def demonstrations_by_project(ids: Collection[UUID]) -> Mapping[UUID, int]:
    """How many demonstrations each project has, revisions once."""
    return _count(Demonstration.objects.filter(project__in=ids, is_latest=True))


def _count(rows: object) -> Mapping[UUID, int]:
    counted = rows.values_list("project_id").annotate(number=Count("pk")).order_by()  # type: ignore[attr-defined]
    return dict(counted)
