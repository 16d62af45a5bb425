"""Projects, and the pseudonyms of their labelers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from uuid import UUID

from django.db import transaction

from accounts.events import record
from accounts.models import Project, Role, User
from accounts.services.names import name_line
from accounts.services.people import add_member
from common.text import clean_text


@transaction.atomic
def create_project(
    *, name: str, description: str = "", guidelines: str = "", creator: User, is_demo: bool = False
) -> Project:
    """A new project with `creator` as its admin."""
    project = Project.objects.create(
        name=name_line(name, "name", 120, required=True),
        description=clean_text(description, field="description", max_bytes=4000),
        guidelines=clean_text(guidelines, field="guidelines"),
        is_demo=is_demo,
        salt=secrets.token_bytes(32),
    )
    record("project.created", subject=project, actor=creator, project=project, is_demo=is_demo)
    add_member(project=project, user=creator, role=Role.ADMIN, actor=creator)
    return project


@transaction.atomic
def change_project(
    *,
    project: Project,
    actor: User,
    name: str | None = None,
    description: str | None = None,
    guidelines: str | None = None,
) -> Project:
    """Change what people read. New guidelines get the next version, which later answers carry."""
    project = Project.objects.select_for_update().get(pk=project.pk)
    changed = []
    if name is not None:
        project.name = name_line(name, "name", 120, required=True)
        changed.append("name")
    if description is not None:
        project.description = clean_text(description, field="description", max_bytes=4000)
        changed.append("description")
    if guidelines is not None and guidelines != project.guidelines:
        project.guidelines = clean_text(guidelines, field="guidelines")
        project.guideline_version += 1
        changed.append("guidelines")
    project.save(update_fields=["name", "description", "guidelines", "guideline_version"])
    record("project.changed", subject=project, actor=actor, project=project, changed=changed)
    return project


def pseudonym(project: Project, user_id: UUID | str) -> str:
    """The labeler's name in exports of this project: "h:" and 16 hex digits, other in every project."""
    key = bytes(project.salt)
    return "h:" + hmac.new(key, str(user_id).encode(), hashlib.sha256).hexdigest()[:16]
