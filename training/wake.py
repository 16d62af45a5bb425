"""Wake-ups over Valkey: a word on a channel saves a listener from waiting for its next look. Losing one is harmless."""

from __future__ import annotations

from functools import cache, partial
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import transaction

CONTROL = "preceptor:control"
log = structlog.get_logger("training.wake")


def run_channel(run_id: UUID | str) -> str:
    """Where news of a run is announced."""
    return f"preceptor:run:{run_id}"


def round_channel(round_id: UUID | str) -> str:
    """Where news of a round is announced."""
    return f"preceptor:round:{round_id}"


def wake(*channels: str) -> None:
    """Announce news on these channels once the current transaction has committed. Never raises."""
    transaction.on_commit(partial(_publish, channels), robust=True)


@cache
def client() -> redis.Redis:
    """This process's connection pool; short time-outs, because a wake-up is not worth waiting for."""
    return redis.Redis.from_url(settings.PRECEPTOR_REDIS_URL, socket_connect_timeout=1, socket_timeout=1)


def _publish(channels: tuple[str, ...]) -> None:
    try:
        with client().pipeline(transaction=False) as pipe:
            for channel in channels:
                pipe.publish(channel, b"1")
            pipe.execute()
    except redis.RedisError as error:
        log.warning("wake_up_lost", channels=channels, error=type(error).__name__)
