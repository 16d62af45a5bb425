"""Whose assignment is it: the labeler's own while they are a member, and nobody else's."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from accounts.access import Viewer, memberships_of
from common.errors import NotFound
from labeling.models import Assignment


def assignments_of(user: Viewer) -> QuerySet[Assignment]:
    """The labeler's own assignments in the projects that they (still) belong to."""
    visible = memberships_of(user).values("project_id")
    return Assignment.objects.filter(labeler_id=user.pk, project__in=visible)


def assignment_for(user: Viewer, assignment_id: UUID) -> Assignment:
    """The assignment with task, batch, project and labeler loaded: one query. Raises NotFound."""
    return _one(assignments_of(user).select_related("task__batch", "project", "labeler"), assignment_id)


def own_assignment(user: Viewer, assignment_id: UUID) -> Assignment:
    """The assignment alone, for what needs no more than to know whose it is (drafts). Raises NotFound."""
    return _one(assignments_of(user), assignment_id)


def _one(rows: QuerySet[Assignment], assignment_id: UUID) -> Assignment:
    found = next(iter(rows.filter(pk=assignment_id)), None)
    if found is None:
        raise NotFound
    return found
