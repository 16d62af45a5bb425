"""Ring the doorbell of a worker: the database already holds the work, the message only says "look"."""

from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction


def enqueue(name: str, *ids: int | str | UUID) -> None:
    """Send task `name` with `ids` after the current transaction commits; outside one, now.

    Sent by name, so the caller imports neither the task nor what it needs. A broker that is down costs at most
    about a second and is logged, never raised: the control loop finds the row and rings again.
    """
    transaction.on_commit(
        partial(_send, name, [one if isinstance(one, int) else str(one) for one in ids]), robust=True
    )


def _send(name: str, ids: list[int | str]) -> None:
    current_app.send_task(name, args=ids, ignore_result=True, retry=False)
