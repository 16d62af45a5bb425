"""Doorbells: the row says what is to be done."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down

STOPPING = threading.Event()


@shared_task(name="inference.run_sampling_job")
def run_sampling_job(job_id: str) -> None:
    """Sample what the job asks for, if nobody has."""
    # Other workers import this module too, to know the task's name; torch is for the sampler alone.
    from inference import runner

    runner.run_job(UUID(job_id), stopping=STOPPING)


@worker_shutting_down.connect
def stop_sampling(**_: Any) -> None:
    """A worker that is asked to stop would go on to the end of its job: let the sampler give the job back instead."""
    STOPPING.set()
