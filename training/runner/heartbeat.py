"""A thread that renews the lease of a run, with a database connection of its own."""

from __future__ import annotations

import threading
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, connection

from training.services.attempts import heartbeat

log = structlog.get_logger("training.runner")


class Heartbeat(threading.Thread):
    """`lost` is set when the run belongs to somebody else. A database out of reach is no reason to stop training:
    nothing is published without the fence."""

    def __init__(self, run_id: UUID, fence: int) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.run_id, self.fence = run_id, fence
        self.lost = threading.Event()
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Beat until stopped or lost."""
        try:
            while not self._stop_asked.wait(settings.PRECEPTOR_HEARTBEAT_SECONDS):
                try:
                    if not heartbeat(run_id=self.run_id, fence=self.fence):
                        self.lost.set()
                        return
                except Error as error:
                    log.warning("heartbeat_failed", run=str(self.run_id), error=type(error).__name__)
                    connection.close()
        finally:
            connection.close()

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        self.join(timeout=10)
