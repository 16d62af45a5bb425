"""Wake-ups over Valkey: a word on a channel saves a listener from waiting for its next look. Losing one is harmless."""

from __future__ import annotations

import time
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import transaction

CONTROL = "preceptor:control"
PATIENCE = 0.5  # seconds for Valkey to take a word; more is not worth a labeler's waiting
SILENCE = (
    5.0  # seconds without a further try after Valkey did not: while it hangs, one request in so many waits
)
log = structlog.get_logger("common.wake")


def project_channel(project_id: UUID | str) -> str:
    """Where it is said that somebody answered, or that the sampler wrote, in a project."""
    return f"preceptor:project:{project_id}"


def run_channel(run_id: UUID | str) -> str:
    """Where news of a run is announced."""
    return f"preceptor:run:{run_id}"


def round_channel(round_id: UUID | str) -> str:
    """Where news of a round is announced."""
    return f"preceptor:round:{round_id}"


def wake(*channels: str) -> None:
    """Announce news on these channels once the current transaction has committed. Never raises."""

    # A function and no partial: Django logs the name of a hook that failed, and a partial has none.
    def ring() -> None:
        _bell.ring(channels)

    transaction.on_commit(ring, robust=True)


class _Bell:
    """This process's connection pool, and whether it is worth a try."""

    def __init__(self) -> None:
        self._client: redis.Redis | None = None
        self._silent_until = 0.0

    def ring(self, channels: tuple[str, ...]) -> None:
        """Say a word on each channel, unless that has just failed."""
        if time.monotonic() < self._silent_until:
            return
        try:
            with self._connected().pipeline(transaction=False) as pipe:
                for channel in channels:
                    pipe.publish(channel, b"1")
                pipe.execute()
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + SILENCE
            log.warning("wake_up_lost", channels=channels, error=type(error).__name__)

    def _connected(self) -> redis.Redis:
        if self._client is None:
            self._client = redis.Redis.from_url(
                settings.PRECEPTOR_REDIS_URL, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE
            )
        return self._client


_bell = _Bell()
