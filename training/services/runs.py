"""Runs as seen from outside a worker: queue, cancel, retry, and find those whose supervisor died."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.events import record
from accounts.models import Project, User
from common.celery import enqueue
from common.errors import DomainError
from common.state_machine import IllegalMove, move, move_rows
from common.wake import CONTROL, round_channel, run_channel, wake
from inference.models import ModelVersion
from training.models import Attempt, Round, Run, RunKind, Snapshot
from training.states import ATTEMPT_MOVES, RUN_MOVES, AttemptState, RunState

TASK = "training.execute_run"
MAX_TRIES = 3
RING_AGAIN_AFTER = timedelta(seconds=60)


class RunAlive(DomainError):
    """The round has a run of this kind already."""

    code = "run_alive"
    message = "A run of this kind is queued or running for this round. Wait for it, or cancel it."


class RunEnded(DomainError):
    """The run is over."""

    code = "run_ended"
    message = "This run has ended; there is nothing to cancel."


class NotRetryable(DomainError):
    """Only a failed or cancelled run of a round that still needs it can be retried."""

    code = "run_not_retryable"
    message = "Only a failed or cancelled run can be tried again."


@transaction.atomic
def queue_run(
    *,
    project: Project,
    kind: str,
    config: Mapping[str, Any],
    model: ModelVersion,
    round: Round | None = None,
    snapshot: Snapshot | None = None,
    demonstrations: Snapshot | None = None,
    heldout_labelers: Snapshot | None = None,
    reference: ModelVersion | None = None,
    reward: ModelVersion | None = None,
    judge: ModelVersion | None = None,
    seed: int = 0,
    actor: User | None = None,
) -> Run:
    """Make a run and ring for a training worker. Raises RunAlive if the round has a live one of this kind."""
    try:
        with transaction.atomic():
            run = Run.objects.create(
                project=project,
                round=round,
                kind=RunKind(kind),
                config=dict(config),
                model=model,
                snapshot=snapshot,
                demonstrations=demonstrations,
                heldout_labelers=heldout_labelers,
                reference=reference,
                reward=reward,
                judge=judge,
                seed=seed,
                launched_by=actor,
            )
    except IntegrityError as error:
        if "one_live_run_per_round_and_kind" not in str(error):
            raise
        raise RunAlive from None
    record("run.queued", subject=run, actor=actor, run_kind=str(kind), round=str(round.pk) if round else None)
    _ring(Run.objects.filter(pk=run.pk), run)
    return run


@transaction.atomic
def cancel_run(*, run: Run, actor: User | None) -> Run:
    """Stop a run: a queued one now, a running one within seconds. Again is free of effect. Raises RunEnded."""
    run.refresh_from_db()
    if run.state == RunState.CANCELLED:
        return run
    try:
        move(
            run,
            RunState.CANCELLED,
            RUN_MOVES,
            from_=RunState.QUEUED,
            cancel_requested_at=Now(),
            ended_at=Now(),
        )
    except IllegalMove:
        live = Run.objects.filter(pk=run.pk, state=RunState.RUNNING)
        if not live.update(cancel_requested_at=Now()):
            raise RunEnded from None
        run.refresh_from_db()
    record("run.cancel_requested", subject=run, actor=actor, fence=run.fence)
    announce(run)
    return run


@transaction.atomic
def retry_run(*, run: Run, actor: User | None) -> Run:
    """Queue a failed or cancelled run again; it goes on from its last good checkpoint. Raises NotRetryable."""
    try:
        with transaction.atomic():
            move(
                run, RunState.QUEUED, RUN_MOVES, from_=(RunState.FAILED, RunState.CANCELLED),
                tries=0, error={}, ended_at=None, cancel_requested_at=None, lease_until=None,
            )  # fmt: skip
    except IllegalMove as error:
        raise NotRetryable from error
    except IntegrityError:
        raise RunAlive from None
    record("run.retried", subject=run, actor=actor, checkpoint=run.checkpoint)
    _ring(Run.objects.filter(pk=run.pk), run)
    return run


def reap_runs() -> int:
    """Bring back runs whose supervisor fell silent; returns how many. Called by the control loop."""
    touched = 0
    for run in Run.objects.filter(state=RunState.RUNNING, lease_until__lt=Now()):
        with transaction.atomic():
            touched += _reap(run)
    return touched


def ring_again() -> int:
    """The outbox: ring for runs that are queued and were never, or long ago, rung for; returns how many."""
    late = Q(enqueued_at__isnull=True) | Q(enqueued_at__lt=Now() - RING_AGAIN_AFTER)
    touched = 0
    for run in Run.objects.filter(late, state=RunState.QUEUED):
        with transaction.atomic():
            touched += _ring(Run.objects.filter(late, pk=run.pk, state=RunState.QUEUED), run)
    return touched


def give_back(run: Run, *, guard: QuerySet[Run], code: str, message: str, counts: bool = True) -> bool:
    """Queue a run again whose process died, or fail it after MAX_TRIES. `guard` says which row may be changed.

    One that is to be cancelled is left alone: queued again, nobody could ever claim it.
    """
    guard = guard.filter(cancel_requested_at__isnull=True)
    if counts and run.tries >= MAX_TRIES:
        error = {
            "code": code,
            "message": f"{message} That was try {run.tries} of {MAX_TRIES}.",
            "remedy": "Look at the run's log and at the worker's memory, then retry.",
        }
        changed = move_rows(guard, RunState.FAILED, RUN_MOVES, error=error, ended_at=Now(), lease_until=None)
    else:
        tries = F("tries") if counts else F("tries") - 1
        changed = move_rows(
            guard, RunState.QUEUED, RUN_MOVES, lease_until=None, enqueued_at=Now(), tries=tries
        )
        if changed:
            enqueue(TASK, run.pk)
    if changed:
        announce(run)
    return bool(changed)


def announce(run: Run) -> None:
    """Tell the pages that follow this run, and the control loop, that something changed."""
    channels = [run_channel(run.pk), CONTROL]
    wake(*channels, *([round_channel(run.round_id)] if run.round_id else []))


def _reap(run: Run) -> int:
    lost = Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.RUNNING, lease_until__lt=Now())
    if run.cancel_requested_at is not None:
        changed = bool(move_rows(lost, RunState.CANCELLED, RUN_MOVES, ended_at=Now(), lease_until=None))
        announce(run)
    else:
        message = "The worker or its machine fell silent."
        changed = give_back(run, guard=lost, code="lost", message=message)
    if changed:
        mine = Attempt.objects.filter(run=run, fence=run.fence)
        reason = "No heartbeat within the lease."
        move_rows(mine, AttemptState.LOST, ATTEMPT_MOVES, reason=reason, ended_at=Now())
        record("run.lost", subject=run, fence=run.fence, tries=run.tries)
    return int(changed)


def _ring(rows: QuerySet[Run], run: Run) -> int:
    changed = rows.update(enqueued_at=Now())
    if changed:
        enqueue(TASK, run.pk)
        announce(run)
    return changed
