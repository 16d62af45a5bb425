"""`manage.py run_control_loop`: rounds, leases, lost workers, the outbox, the event chain."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand

from training.control import ControlLoop


class Command(BaseCommand):
    """Runs until it is told to stop."""

    help = "Look after rounds, leases, lost workers, the outbox and the event chain. One at a time; a second one waits."

    def handle(self, *args: Any, **options: Any) -> None:
        """Loop until TERM or INT."""
        loop = ControlLoop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stop.set())
        loop.run()
