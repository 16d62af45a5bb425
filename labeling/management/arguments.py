"""What the commands of labeling share."""

from __future__ import annotations

from uuid import UUID

from django.core.management.base import CommandError

from accounts.access import membership_for
from accounts.models import Project, Role, User
from common.errors import DomainError

NAMED = 10


def project_and_user(project: str, username: str) -> tuple[Project, User]:
    """The project (by id or name) and a user who administers it. Raises CommandError."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise CommandError(f"--user {username}: there is nobody of this name. {_known()}")
    try:
        rows = Project.objects.filter(pk=UUID(project))
    except ValueError:
        rows = Project.objects.filter(name=project)
    found = list(rows[:2])
    if len(found) != 1:
        what = "there is no such project" if not found else "several projects have this name; give the id"
        raise CommandError(f"--project {project}: {what}.")
    try:
        membership_for(user, found[0].pk, at_least=Role.ADMIN)
    except DomainError:
        raise CommandError(f"--user {username}: is no admin of {found[0].name}.") from None
    return found[0], user


def _known() -> str:
    people = User.objects.filter(is_active=True, is_synthetic=False).order_by("username")
    names = list(people.values_list("username", flat=True)[: NAMED + 1])
    more = ", ..." if len(names) > NAMED else ""
    return f"There are: {', '.join(names[:NAMED])}{more}." if names else "There is nobody yet: `make link`."
