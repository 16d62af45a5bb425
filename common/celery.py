"""Ring the doorbell of a worker: the database already holds the work, the message only says "look"."""

from uuid import UUID

from celery import current_app
from django.db import transaction


def enqueue(name: str, *ids: int | str | UUID) -> None:
    """Send task `name` with `ids` after the current transaction commits; outside one, now.

    Sent by name, so the caller imports neither the task nor what it needs. A broker that is down costs at most
    about a second and is logged, never raised: the control loop finds the row and rings again.
    """
    plain = [one if isinstance(one, int) else str(one) for one in ids]

    # A function and no partial: Django logs the name of a hook that failed, and a partial has none.
    def ring() -> None:
        current_app.send_task(name, args=plain, ignore_result=True, retry=False)

    transaction.on_commit(ring, robust=True)
