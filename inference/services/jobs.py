"""Sampling jobs as seen from outside a worker: ask, cancel, and find those whose worker died."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.events import record
from accounts.models import Project, User
from common.celery import enqueue
from common.errors import InvalidInput
from common.state_machine import IllegalMove, move, move_rows
from inference.engine.config import SamplingParams
from inference.models import WRITES_TEXT, ModelVersion, SampleRequest, SamplingJob
from inference.states import JOB_MOVES, JobState

TASK = "inference.run_sampling_job"
MAX_ATTEMPTS = 3
RING_AGAIN_AFTER = timedelta(seconds=60)
MAX_SEED = 2**63 - 1

Message = Mapping[str, str]


@transaction.atomic
def request_samples(
    *,
    project: Project,
    version: ModelVersion,
    prompts: Iterable[tuple[str, Sequence[Message], int]],
    params: SamplingParams,
    seed: int,
    requested_by: User | None = None,
) -> SamplingJob:
    """Ask `version` for n completions of each prompt, given as (key, messages, n).

    `key` is the prompt's digest: the seeds hang on it, never on a place in the list. Raises InvalidInput.
    """
    if version.project_id != project.pk or version.kind not in WRITES_TEXT:
        raise InvalidInput(
            f"version: {version.name} is no model of this project that writes text.", code="bad_version"
        )
    if not 0 <= seed <= MAX_SEED:
        raise InvalidInput(f"seed: a whole number from 0 to {MAX_SEED}.", code="bad_seed")
    job = SamplingJob(
        project=project, version=version, params=params.to_json(), seed=seed, requested_by=requested_by
    )
    requests = [SampleRequest(job=job, key=key, messages=list(messages), n=n) for key, messages, n in prompts]
    _check(requests)
    job.wanted = sum(request.n for request in requests)
    job.save(force_insert=True)
    SampleRequest.objects.bulk_create(requests, batch_size=1000)
    record(
        "sampling_job.requested", subject=job, actor=requested_by, version=str(version.pk), wanted=job.wanted
    )
    enqueue(TASK, job.pk)
    return job


@transaction.atomic
def cancel_job(*, job: SamplingJob, actor: User | None, reason: str = "Cancelled.") -> SamplingJob:
    """Stop a job; what was sampled stays. A running one stops at its next look, within about a second.

    A job that has ended stays as it is.
    """
    try:
        move(job, JobState.CANCELLED, JOB_MOVES, from_=JobState.QUEUED, reason=reason, ended_at=Now())
    except IllegalMove:
        asked = SamplingJob.objects.filter(
            pk=job.pk, state=JobState.RUNNING, cancel_requested_at__isnull=True
        )
        if not asked.update(cancel_requested_at=Now(), reason=reason):
            job.refresh_from_db()
            return job
        job.refresh_from_db()
    record("sampling_job.cancelled", subject=job, actor=actor)
    return job


def reap_sampling_jobs() -> int:
    """Bring back jobs whose worker died, and ring again for those that nobody took; returns how many were touched.

    Called by the control loop. A job that killed its worker three times fails with that as its reason.
    """
    return _requeue_lost() + _ring_again()


def _requeue_lost() -> int:
    touched = 0
    for job in SamplingJob.objects.filter(state=JobState.RUNNING, lease_until__lt=Now()):
        with transaction.atomic():
            touched += _bring_back(job)
    return touched


def _bring_back(job: SamplingJob) -> int:
    lost = SamplingJob.objects.filter(
        pk=job.pk, fence=job.fence, state=JobState.RUNNING, lease_until__lt=Now()
    )
    if job.cancel_requested_at is not None:
        changed = move_rows(lost, JobState.CANCELLED, JOB_MOVES, ended_at=Now(), lease_until=None)
    elif job.attempts >= MAX_ATTEMPTS:
        reason = (
            f"The sampler died {job.attempts} times on this job. Look at the sampler's log, then ask again."
        )
        changed = move_rows(lost, JobState.FAILED, JOB_MOVES, reason=reason, ended_at=Now(), lease_until=None)
    else:
        # A cancellation that came since the row was read is left for the next look: queued, nobody could claim it.
        wanted = lost.filter(cancel_requested_at__isnull=True)
        changed = move_rows(wanted, JobState.QUEUED, JOB_MOVES, lease_until=None, enqueued_at=Now())
        if changed:
            enqueue(TASK, job.pk)
    if changed:
        record("sampling_job.lost", subject=job, attempt=job.attempts, fence=job.fence)
    return changed


def _ring_again() -> int:
    touched = 0
    forgotten = SamplingJob.objects.filter(state=JobState.QUEUED, enqueued_at__lt=Now() - RING_AGAIN_AFTER)
    for pk, rung_at in forgotten.values_list("pk", "enqueued_at"):
        with transaction.atomic():
            mine = SamplingJob.objects.filter(pk=pk, state=JobState.QUEUED, enqueued_at=rung_at)
            if mine.update(enqueued_at=Now()):
                enqueue(TASK, pk)
                touched += 1
    return touched


def _check(requests: Sequence[SampleRequest]) -> None:
    if not requests:
        raise InvalidInput("prompts: at least one prompt is needed.", code="no_prompts")
    keys = {request.key for request in requests}
    if len(keys) != len(requests) or any(not 1 <= len(key) <= 64 for key in keys):
        raise InvalidInput(
            "prompts: each key is the digest of one prompt; none may repeat.", code="bad_prompt_key"
        )
    if any(not 1 <= request.n <= 128 for request in requests):
        raise InvalidInput("prompts: 1 to 128 completions can be asked for each prompt.", code="bad_n")
