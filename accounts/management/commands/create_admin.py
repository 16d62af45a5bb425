"""Make the first person: somebody who may open projects. Prints a sign-in link; nobody ever has a password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import create_user, make_sign_in_link
from common.errors import DomainError


class Command(BaseCommand):
    """`manage.py create_admin eva --name "Eva Admin"`."""

    help = "Make a person who may open projects, and print a sign-in link (one use)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Username and name."""
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="How others see this person")

    def handle(self, *args: Any, **options: Any) -> None:
        """Again with the same username only prints a new link, if that person is an admin already."""
        user = User.objects.filter(username=options["username"]).first()
        if user is not None and not user.is_staff:
            raise CommandError(
                "username: this person exists and is no admin of the site. Choose another name."
            )
        try:
            user = user or create_user(
                username=options["username"], display_name=options["name"], is_staff=True
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(make_sign_in_link(user=user)[0])
