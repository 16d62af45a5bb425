"""The sign-in links that `make up` and `make link` print."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Membership, Role, User
from accounts.services import create_user, make_sign_in_link


class Command(BaseCommand):
    """`manage.py welcome`."""

    help = "Print sign-in links (one use each): one person of each role in the demo projects, else an admin."

    def handle(self, *args: Any, **options: Any) -> None:
        """On an installation without anybody, make the first admin."""
        people = demo_people() or {"admin": first_admin()}
        for role, user in people.items():
            link, _ = make_sign_in_link(user=user)
            self.stdout.write(f"{user.display_name or user.username} ({role})".ljust(24) + link)


def demo_people() -> dict[str, User]:
    """The first real person of each role in the demo projects, admins first."""
    found: dict[str, User] = {}
    for role in (Role.ADMIN, Role.REVIEWER, Role.LABELER):
        members = Membership.objects.filter(project__is_demo=True, role=role, user__is_synthetic=False)
        first = members.filter(user__is_active=True).order_by("created_at").select_related("user").first()
        if first is not None and first.user not in found.values():
            found[role.value] = first.user
    return found


def first_admin() -> User:
    """The oldest active member of staff; made if there is none."""
    staff = (
        User.objects.filter(is_staff=True, is_active=True, is_synthetic=False).order_by("date_joined").first()
    )
    return staff or create_user(username="admin", display_name="Admin", is_staff=True)
