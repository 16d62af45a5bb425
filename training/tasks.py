"""Celery's way in. A message carries one id; what is to be done stands in the row."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any
from uuid import UUID

from billiard.process import active_children
from celery import shared_task
from celery.signals import worker_shutting_down

from training import runner
from training.services.simulate import simulate_round


@shared_task(name="training.execute_run")
def execute_run(run_id: str) -> None:
    """Supervise a run to its end; nothing if somebody else has it."""
    runner.execute(UUID(run_id))


@shared_task(name="training.simulate_step")
def simulate_step(round_id: str) -> None:
    """Let simulated labelers finish what the round's present step asks of people."""
    simulate_round(UUID(round_id))


@worker_shutting_down.connect
def tell_supervisors(**_: Any) -> None:
    """A worker that is asked to stop would wait for hours for its run: let the supervisor give the run back instead."""
    for child in active_children():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
