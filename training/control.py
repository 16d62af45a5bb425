"""The control loop: makes due what the database says is due. One at a time, by an advisory lock; a second one waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import redis
import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connections

from accounts.sealer import seal_events
from common.wake import CONTROL
from inference.services import reap_sampling_jobs
from labeling.services.assignment import expire_leases
from training.services.reconcile import live_round_ids, tick
from training.services.runs import reap_runs, ring_again

LOCK = 0x5052454345505452  # "PRECEPTR": no other program's lock
EVERY = 2.0  # seconds between two passes without a wake-up
log = structlog.get_logger("training.control")


class Part(NamedTuple):
    """One thing that is looked after, at most every so many seconds."""

    name: str
    every: float
    do: Callable[[], object]


def tick_rounds() -> None:
    """Each live round by itself: one that raises is tried again at the next pass and does not stop the others."""
    for round_id in live_round_ids():
        _isolated("tick_round", lambda round_id=round_id: tick(round_id), round=str(round_id))  # type: ignore[misc]


PARTS = (
    Part("rounds", 0.0, tick_rounds),
    Part("runs", 2.0, reap_runs),
    Part("sampling_jobs", 2.0, reap_sampling_jobs),
    Part("leases", 5.0, expire_leases),
    Part("outbox", 5.0, ring_again),
    Part("events", 5.0, seal_events),
)


class ControlLoop:
    """Runs until `stop` is set."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._due = dict.fromkeys((part.name for part in PARTS), 0.0)
        self._ears: _Ears = _Ears()

    def run(self) -> None:
        """Wait for the lock, then look after everything, again and again."""
        while not self.stop.is_set():
            lock = _Lock()
            if not lock.taken():
                self.stop.wait(EVERY)
                continue
            log.info("control_loop_leads")
            while not self.stop.is_set() and lock.held():
                self.one_pass()
                self._ears.wait(EVERY, self.stop)
            lock.release()

    def one_pass(self) -> None:
        """Every part that is due, each by itself."""
        for part in PARTS:
            now = time.monotonic()
            if now >= self._due[part.name]:
                self._due[part.name] = now + part.every
                _isolated(part.name, part.do)


def _isolated(name: str, do: Callable[[], object], **facts: str) -> None:
    try:
        do()
    except Exception:  # a part that fails must not take the others along; it is tried again in a moment
        log.exception("control_part_failed", part=name, **facts)
    finally:
        close_old_connections()


class _Lock:
    """A session-level advisory lock on a connection of its own: the others may be closed and opened at will."""

    def __init__(self) -> None:
        self.connection = connections.create_connection(DEFAULT_DB_ALIAS)

    def taken(self) -> bool:
        """Whether nobody else leads."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
                if bool(cursor.fetchone()[0]):
                    return True
        except Error as error:
            log.warning("control_lock_failed", error=type(error).__name__)
        self.release()
        return False

    def held(self) -> bool:
        """Whether the connection, and with it the lock, still lives."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error as error:
            log.warning("control_lock_lost", error=type(error).__name__)
            self.release()
            return False
        return True

    def release(self) -> None:
        """Close the connection: PostgreSQL lets go of its locks."""
        self.connection.close()


class _Ears:
    """Waits for a wake-up on Valkey, or for time to pass."""

    def __init__(self) -> None:
        self._pubsub: redis.client.PubSub | None = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return at the first word on the control channel, after `seconds`, or soon after `stop`."""
        try:
            if self._pubsub is None:
                client = redis.Redis.from_url(settings.PRECEPTOR_REDIS_URL, socket_connect_timeout=1)
                self._pubsub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py left it bare
                self._pubsub.subscribe(CONTROL)
            self._pubsub.get_message(timeout=seconds)
            while self._pubsub.get_message(timeout=0) is not None:
                pass
        except (redis.RedisError, OSError) as error:
            log.warning("control_channel_lost", error=type(error).__name__)
            self._pubsub = None
            stop.wait(seconds)
