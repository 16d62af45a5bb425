"""Reads of people and projects: the viewer first, no more queries for many rows than for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.access import Viewer, memberships_of
from accounts.facts import facts
from accounts.models import ApiToken, Event, LabelerWeight, Membership, Project, User

# How many rows of each kind a project has; the apps that know contribute them (accounts/facts.py).
COUNTS = ("prompts", "open_tasks", "rankings", "demonstrations", "versions")


def my_memberships(viewer: Viewer) -> QuerySet[Membership]:
    """The viewer's memberships with their projects, by project name."""
    return memberships_of(viewer).select_related("project").order_by("project__name", "project_id")


def project_overviews(memberships: Sequence[Membership]) -> list[dict[str, Any]]:
    """What the list of projects shows of each membership's project: one query for each kind of fact."""
    known = facts("project", [one.project_id for one in memberships])
    return [_overview(one, known[one.project_id]) for one in memberships]


def _overview(membership: Membership, known: dict[str, Any]) -> dict[str, Any]:
    project = membership.project
    return {
        "id": project.pk,
        "name": project.name,
        "description": project.description,
        "is_demo": project.is_demo,
        "role": membership.role,
        "counts": {name: known.get(name, 0) for name in COUNTS},
        "round": known.get("round"),
        "current_policy": known.get("current_policy"),
        "guidelines": project.guidelines,
        "guideline_version": project.guideline_version,
    }


def members_of(project: Project) -> QuerySet[Membership]:
    """Everybody in the project, by name, each with the `weight` of their rankings."""
    members = project.memberships.select_related("user").annotate(weight=weight_of("user"))
    return members.order_by("user__display_name", "user_id")


def weight_of(user: str) -> Coalesce:
    """How much a ranking counts, for `annotate` on rows of a project; `user` is their field that names the labeler."""
    weights = LabelerWeight.objects.filter(project=OuterRef("project"), user=OuterRef(user))
    return Coalesce(Subquery(weights.values("weight")), 1.0)


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """The user's tokens that still work or have merely expired, newest first."""
    return (
        user.tokens.filter(revoked_at__isnull=True).select_related("project").order_by("-created_at", "-id")
    )


def events_of(project: Project) -> QuerySet[Event]:
    """What happened in the project, newest first."""
    return Event.objects.filter(project=project).order_by("-id")


def actors_of(events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """{actor: {"id", "display_name"}} for those who caused these events, in one query."""
    ids = {event.actor for event in events if event.actor}
    rows = User.objects.filter(pk__in=ids).values_list("pk", "display_name") if ids else []
    return {str(pk): {"id": pk, "display_name": name} for pk, name in rows}
