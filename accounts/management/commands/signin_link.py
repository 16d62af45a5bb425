"""Print a fresh sign-in link for somebody who exists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import make_sign_in_link


class Command(BaseCommand):
    """`manage.py signin_link eva --hours 1`."""

    help = "Print a sign-in link (one use) for each named person."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose link, and for how long it works."""
        parser.add_argument("usernames", nargs="+", metavar="username")
        parser.add_argument("--hours", type=float, default=72.0, help="How long the link works (at most 720)")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each person: the link alone for one, "name link" for several."""
        if not 0 < options["hours"] <= 720:
            raise CommandError("--hours: more than 0, at most 720.")
        names = options["usernames"]
        people = {user.username: user for user in User.objects.filter(username__in=names, is_active=True)}
        if missing := [name for name in names if name not in people]:
            raise CommandError(
                f"No such person: {', '.join(missing)}. Make one with create_admin or in the members page."
            )
        for name in names:
            link, _ = make_sign_in_link(user=people[name], ttl=timedelta(hours=options["hours"]))
            self.stdout.write(link if len(names) == 1 else f"{name} {link}")
