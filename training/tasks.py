"""Celery's way in. A message carries one id; what is to be done stands in the row."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

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
