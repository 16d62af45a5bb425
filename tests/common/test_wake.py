"""A wake-up is said after the commit and never costs the one who says it more than a moment."""

import socket
import threading
from contextlib import contextmanager

import pytest
import redis
from django.conf import settings
from django.db import transaction

from common import wake as waking
from common.wake import project_channel, wake

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No connection and no silence of an earlier test."""
    monkeypatch.setattr(waking, "_bell", waking._Bell())


@pytest.fixture
def hung(tmp_path, settings):
    """A Valkey that takes connections and never says anything: the connections so far."""
    taken = []
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(8)

        def accept():
            try:
                while True:
                    taken.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        settings.PRECEPTOR_REDIS_URL = f"unix://{path}"
        yield taken
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
    for one in taken:
        one.close()


@contextmanager
def ears(*channels):
    """Somebody who listens on these channels."""
    pubsub = redis.Redis.from_url(settings.PRECEPTOR_REDIS_URL).pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(*channels)
    for _ in channels:  # the confirmations
        assert pubsub.get_message(timeout=5) is None
    yield pubsub
    pubsub.close()


def test_it_is_said_after_the_commit_and_not_before(services):
    with ears(project_channel("p")) as heard:
        with transaction.atomic():
            wake(project_channel("p"))
            assert heard.get_message(timeout=0.2) is None
        assert heard.get_message(timeout=5)["channel"] == b"preceptor:project:p"


def test_what_is_rolled_back_is_never_said(services):
    with ears("preceptor:one", "preceptor:other") as heard:
        with transaction.atomic():
            wake("preceptor:one")
            transaction.set_rollback(True)
        wake("preceptor:other")
        assert heard.get_message(timeout=5)["channel"] == b"preceptor:other"


def test_a_valkey_that_is_gone_hurts_nobody(tmp_path, settings):
    settings.PRECEPTOR_REDIS_URL = f"unix://{tmp_path}/nothing"
    with transaction.atomic():
        wake("preceptor:one")
    wake("preceptor:one")


def test_a_valkey_that_hangs_is_waited_for_once(hung, monkeypatch):
    monkeypatch.setattr(waking, "PATIENCE", 0.05)
    monkeypatch.setattr(waking, "SILENCE", 60.0)
    for _ in range(20):
        wake("preceptor:one")
    assert len(hung) == 1


def test_after_the_silence_it_is_tried_again(hung, monkeypatch):
    monkeypatch.setattr(waking, "PATIENCE", 0.05)
    monkeypatch.setattr(waking, "SILENCE", 0.0)
    for _ in range(3):
        wake("preceptor:one")
    assert len(hung) == 3
