import json
import socket
import time
import uuid

import pytest
import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu import pools

from common.celery import enqueue


@pytest.fixture
def broker(services):
    with redis.from_url(settings.PRECEPTOR_REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()


def test_a_message_carries_the_name_and_ids_as_json_and_nothing_else(transactional_db, broker):
    some_id = uuid.uuid4()
    enqueue("training.execute_run", some_id, 7)
    message = json.loads(broker.lindex("train", 0))
    assert message["headers"]["task"] == "training.execute_run"
    assert message["content-type"] == "application/json"
    assert message["headers"]["ignore_result"] is True


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("inference.run_sampling_job", "sample"),
        ("training.execute_run", "train"),
        ("training.simulate_step", "control"),
    ],
)
def test_each_name_has_its_queue(transactional_db, broker, name, queue):
    enqueue(name, 1)
    assert broker.llen(queue) == 1


def test_nothing_is_sent_before_the_commit_nor_after_a_rollback(transactional_db, broker):
    with transaction.atomic():
        enqueue("training.execute_run", 1)
        assert broker.llen("train") == 0
    assert broker.llen("train") == 1
    with transaction.atomic():
        enqueue("training.execute_run", 2)
        transaction.set_rollback(True)
    assert broker.llen("train") == 1


def forget_connections():
    """The app's pools are kept by address, process-wide; a closed one would fail every later test of this process."""
    pools.reset()
    current_app._pool = None
    current_app.amqp._producer_pool = None


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_broker_that_is_down_or_silent_never_fails_the_request_and_costs_little(
    transactional_db, is_silent, tmp_path
):
    with socket.socket(socket.AF_UNIX) as deaf:
        if is_silent:
            deaf.bind(str(tmp_path / "s"))
            deaf.listen(0)
        current = current_app.conf.broker_url
        current_app.conf.broker_url = f"redis+socket://{tmp_path}/s"
        forget_connections()
        start = time.monotonic()
        try:
            with transaction.atomic():
                enqueue("training.execute_run", 1)
        finally:
            current_app.conf.broker_url = current
            forget_connections()
        assert time.monotonic() - start < 4
