"""Doorbells: the row says what is to be done."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task


@shared_task(name="inference.run_sampling_job")
def run_sampling_job(job_id: str) -> None:
    """Sample what the job asks for, if nobody has."""
    # Other workers import this module too, to know the task's name; torch is for the sampler alone.
    from inference import runner

    runner.run_job(UUID(job_id))
