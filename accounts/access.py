"""Who may see and do what: the one place that decides. Missing and forbidden look the same: 404.

A person's view always starts from the memberships. Who came with a token for one project sees that project only,
because `authenticate_request` put the limit on the user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from accounts.models import Membership, Project, Role, User
from common.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

Viewer = User | AnonymousUser

RANK: dict[str, int] = {Role.LABELER: 1, Role.REVIEWER: 2, Role.ADMIN: 3}


class RoleTooLow(Forbidden):
    """The person is a member, but not of the role that this needs."""

    code = "role_too_low"


def memberships_of(user: Viewer) -> QuerySet[Membership]:
    """The memberships through which `user` sees anything at all."""
    if not isinstance(user, User) or not user.is_active:
        return Membership.objects.none()
    limit = Q(project_id=user.limited_to) if user.limited_to else Q()
    return Membership.objects.filter(limit, user_id=user.pk)


def projects_visible_to(user: Viewer) -> QuerySet[Project]:
    """The projects of which `user` is a member."""
    return Project.objects.filter(pk__in=memberships_of(user).values("project_id"))


def role_in(user: Viewer, project: Project | UUID) -> Role | None:
    """The role of `user` in `project` (or its id), None for a stranger."""
    project_id = project.pk if isinstance(project, Project) else project
    found = memberships_of(user).filter(project_id=project_id).values_list("role", flat=True).first()
    return Role(found) if found else None


def membership_for(user: Viewer, project_id: UUID, *, at_least: Role = Role.LABELER) -> Membership:
    """The membership of `user` with its project loaded: one query. Raises NotFound, or RoleTooLow below `at_least`."""
    found = memberships_of(user).select_related("project").filter(project_id=project_id).first()
    if found is None:
        raise NotFound
    require_role(found.role, at_least)
    return found


def project_for(user: Viewer, project_id: UUID, *, at_least: Role = Role.LABELER) -> Project:
    """The project, if `user` has at least this role in it. Raises NotFound (a stranger) or RoleTooLow."""
    return membership_for(user, project_id, at_least=at_least).project


def object_for(user: Viewer, rows: QuerySet[Any], pk: UUID, *, at_least: Role = Role.LABELER) -> Any:
    """The row `pk` of `rows` (a model with a `project`), if `user` has at least this role in its project."""
    found = rows.select_related("project").filter(pk=pk, project__in=projects_visible_to(user)).first()
    if found is None:
        raise NotFound
    role = role_in(user, found.project_id)
    require_role(role or "", at_least)
    return found


def require_role(role: str, at_least: Role) -> None:
    """Raise RoleTooLow if `role` ranks below `at_least`."""
    if RANK.get(role, 0) < RANK[at_least]:
        raise RoleTooLow(
            f"This needs the role {at_least.label.lower()} in the project; ask one of its admins."
        )


def may_create_projects(user: Viewer, memberships: Iterable[Membership] | None = None) -> bool:
    """Whoever administers a project already, or the whole site, may open another one; a limited token may not.

    `memberships` are the user's, where the caller has them already.
    """
    if not isinstance(user, User) or user.limited_to:
        return False
    mine = memberships_of(user) if memberships is None else memberships
    return user.is_staff or any(one.role == Role.ADMIN for one in mine)
