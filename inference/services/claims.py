"""What a sampler may write about the job it holds. Every write names its fence; one with an old fence changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now

from accounts.events import record
from common.celery import enqueue
from common.state_machine import move_rows
from common.wake import project_channel, wake
from inference.models import Completion, SampleRequest, SamplingJob
from inference.services.jobs import TASK
from inference.states import JOB_MOVES, JobState

LEASE = timedelta(seconds=settings.PRECEPTOR_LEASE_SECONDS)
HEARTBEAT_SECONDS = settings.PRECEPTOR_HEARTBEAT_SECONDS


class FenceLost(Exception):
    """Somebody else holds the job now, or it has ended: stop at once and write nothing."""


class Claim(NamedTuple):
    """A job that this process holds, and with which fence."""

    job: SamplingJob
    fence: int


@transaction.atomic
def claim_job(job_id: UUID) -> Claim | None:
    """Take a queued job, or a running one whose lease is over; None if there is nothing to take.

    The row is the truth: a message that comes twice, late or with an unknown id finds nothing here.
    """
    free = Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING, lease_until__lt=Now())
    job = (
        SamplingJob.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("version", "project")
        .filter(free, pk=job_id, cancel_requested_at__isnull=True)
        .first()
    )
    if job is None:
        return None
    job.state, job.fence, job.attempts = JobState.RUNNING, job.fence + 1, job.attempts + 1
    move_rows(
        SamplingJob.objects.filter(pk=job.pk),
        job.state,
        JOB_MOVES,
        fence=job.fence,
        attempts=job.attempts,
        lease_until=Now() + LEASE,
        started_at=job.started_at or Now(),
        reason="",
    )
    record("sampling_job.claimed", subject=job, fence=job.fence, attempt=job.attempts)
    return Claim(job, job.fence)


def beat(claim: Claim) -> bool:
    """Renew the lease by the database's clock; False if the job is not ours any more."""
    return bool(_held(claim).update(lease_until=Now() + LEASE))


def cancel_wanted(claim: Claim) -> bool:
    """Whether somebody asked for the job to stop. Raises FenceLost if it is not ours any more."""
    found = _held(claim).values_list("cancel_requested_at", flat=True).first()
    if found is None and not _held(claim).exists():
        raise FenceLost
    return found is not None


def missing_requests(claim: Claim) -> list[SampleRequest]:
    """The requests without completions. Each is written whole or not at all, so there is no half one."""
    rows = claim.job.requests.annotate(written=Count("completions")).filter(written=0)
    return list(rows.order_by("key"))


@transaction.atomic
def write_request(
    claim: Claim,
    request: SampleRequest,
    completions: Sequence[Completion],
    *,
    redrawn: int,
    tokens_per_second: float,
) -> None:
    """Store the n completions of one request. Raises FenceLost, and then nothing was stored."""
    if len(completions) != request.n:
        raise ValueError(f"{len(completions)} completions for a request of {request.n}")
    # The job's row comes first: a successor's claim waits behind it, so it sees all of this request or nothing.
    changes = {"finished": F("finished") + request.n, "tokens_per_second": tokens_per_second}
    if not _held(claim).update(**changes):
        raise FenceLost
    Completion.objects.bulk_create(completions)
    if redrawn:
        SampleRequest.objects.filter(pk=request.pk).update(redrawn=redrawn)
    wake(project_channel(claim.job.project_id))


@transaction.atomic
def finish_job(claim: Claim) -> None:
    """Every request is written: the job is done. Raises FenceLost."""
    whole = _held(claim).filter(finished=F("wanted"))
    if not move_rows(whole, JobState.DONE, JOB_MOVES, ended_at=Now(), lease_until=None):
        raise FenceLost
    record("sampling_job.done", subject=claim.job, fence=claim.fence, wanted=claim.job.wanted)


@transaction.atomic
def fail_job(claim: Claim, reason: str) -> None:
    """End the job with one reason for people. Raises FenceLost."""
    if not move_rows(
        _held(claim), JobState.FAILED, JOB_MOVES, reason=reason[:2000], ended_at=Now(), lease_until=None
    ):
        raise FenceLost
    record("sampling_job.failed", subject=claim.job, fence=claim.fence)


@transaction.atomic
def stop_cancelled(claim: Claim) -> None:
    """End the job as its cancellation asked; what was sampled stays. Raises FenceLost."""
    if not move_rows(_held(claim), JobState.CANCELLED, JOB_MOVES, ended_at=Now(), lease_until=None):
        raise FenceLost


@transaction.atomic
def give_back(claim: Claim) -> None:
    """Queue the job again at once, for the worker is asked to stop: no lease to wait for, and no try is counted.

    A job that somebody cancelled meanwhile ends instead: queued, nobody could claim it. Raises FenceLost.
    """
    wanted = _held(claim).filter(cancel_requested_at__isnull=True)
    if not move_rows(
        wanted, JobState.QUEUED, JOB_MOVES, attempts=F("attempts") - 1, lease_until=None, enqueued_at=Now()
    ):
        stop_cancelled(claim)
        return
    record("sampling_job.given_back", subject=claim.job, fence=claim.fence)
    enqueue(TASK, claim.job.pk)


def _held(claim: Claim) -> QuerySet[SamplingJob]:
    return SamplingJob.objects.filter(pk=claim.job.pk, fence=claim.fence, state=JobState.RUNNING)
