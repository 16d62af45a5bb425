"""Check that no event was changed or removed since it was sealed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Event
from accounts.sealer import broken_link


class Command(BaseCommand):
    """`manage.py verify_events`: fails with the first broken place."""

    help = "Verify the hash chain over the events."

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the whole chain."""
        place = broken_link()
        if place is not None:
            raise CommandError(f"The chain is broken at place {place}: an event was changed or removed.")
        sealed = Event.objects.filter(chain_seq__isnull=False).order_by("-chain_seq").first()
        head = f", head {sealed.chain_sha256}" if sealed else ""
        self.stdout.write(f"{sealed.chain_seq if sealed else 0} events, chain whole{head}")
