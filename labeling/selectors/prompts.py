"""The list of prompts."""

from __future__ import annotations

import json
from uuid import UUID

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast, Coalesce

from accounts.access import Viewer, memberships_of
from accounts.models import Role
from labeling.models import Prompt, Task, TaskKind

MAY_LIST = (Role.REVIEWER, Role.ADMIN)


def prompts_for(
    viewer: Viewer,
    project_id: UUID | None = None,
    *,
    split: str = "",
    source: str = "",
    search: str = "",
    flagged: bool = False,
) -> QuerySet[Prompt]:
    """Prompts of the projects where the viewer reviews or administers, with their numbers of tasks.

    `search` finds a piece of text in any message, whatever the case. `flagged`: only those with personal data.
    """
    visible = memberships_of(viewer).filter(role__in=MAY_LIST).values("project_id")
    rows = Prompt.objects.filter(project__in=visible)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    if split:
        rows = rows.filter(split=split)
    if source:
        rows = rows.filter(source=source)
    if flagged:
        rows = rows.exclude(pii=[])
    if search:
        # jsonb as text has quotes and backslashes escaped; the piece that is looked for gets the same.
        piece = json.dumps(search, ensure_ascii=False)[1:-1]
        rows = rows.annotate(as_text=Cast("messages", TextField())).filter(as_text__icontains=piece)
    return rows.annotate(
        demonstration_tasks=_tasks(TaskKind.DEMONSTRATION), ranking_tasks=_tasks(TaskKind.RANKING)
    )


def near_duplicate_of(prompt: Prompt) -> UUID | None:
    """Another prompt of the project that begins like this one (identity.prefix_digest_of): the oldest."""
    alike = Prompt.objects.filter(project=prompt.project_id, prefix_digest=prompt.prefix_digest)
    return (
        alike.exclude(prefix_digest="")
        .exclude(pk=prompt.pk)
        .order_by("pk")
        .values_list("pk", flat=True)
        .first()
    )


def _tasks(kind: str) -> Coalesce:
    counted = (
        Task.objects.filter(prompt=OuterRef("pk"), kind=kind)
        .order_by()
        .values("prompt")
        .annotate(n=Count("pk"))
    )
    return Coalesce(Subquery(counted.values("n"), output_field=IntegerField()), 0)
