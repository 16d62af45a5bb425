"""The reconciler: the database says what is due, `tick` makes it so. Any tick may be repeated or die at any point."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.timezone import now

from accounts.events import record
from accounts.models import User
from common.errors import DomainError
from common.state_machine import move
from common.wake import round_channel, wake
from training.models import Round
from training.services.steps import STEPS, StepFailed
from training.services.steps.base import recipe_of
from training.states import ENDED, ROUND_MOVES, RoundState

log = structlog.get_logger("training.rounds")
ROUND = Round.objects.select_related(
    "project", "opponent", "sft", "reward", "candidate", "demonstration_batch", "ranking_batch", "comparison_batch",
    "sampling_job", "candidate_job", "opponent_job",
)  # fmt: skip


def tick(round_id: UUID) -> None:
    """Bring one round as far as it can go now. Whoever comes second finds the row held and leaves."""
    for _ in range(len(STEPS) + 1):
        if not _one_step(round_id):
            return


def live_round_ids() -> list[UUID]:
    """Rounds for which something may be due."""
    return list(Round.objects.exclude(state__in=ENDED).order_by("created_at").values_list("pk", flat=True))


def leave(round_: Round, *, actor: User | None = None) -> None:
    """End the present step and enter the next one of the recipe. The row is held by the caller."""
    old = round_.state
    step = STEPS.get(old)
    if step is not None:
        done, wanted = step.progress(round_)
        step.finish(round_)
        entry = {
            **round_.timeline.get(old, {}),
            "ended_at": now().isoformat(),
            "done": done,
            "wanted": wanted,
        }
        round_.timeline = {**round_.timeline, old: entry}
    new = recipe_of(round_).after(old)
    timeline = {**round_.timeline, new: {"started_at": now().isoformat()}}
    move(round_, new, ROUND_MOVES, from_=old, step_done=False, timeline=timeline)
    record("round.moved", subject=round_, actor=actor, from_state=str(old), to_state=str(new))
    wake(round_channel(round_.pk))


def stop_with(round_: Round, *, code: str, reason: str, step: str) -> None:
    """The round failed: it says why, and what a retry does over. The row is held by the caller."""
    move(
        round_,
        RoundState.FAILED,
        ROUND_MOVES,
        reason=reason,
        reason_code=code[:40],
        failed_at_step=step,
        ended_at=now(),
        step_done=False,
    )
    record("round.failed", subject=round_, code=code, step=step)
    wake(round_channel(round_.pk))


def held_round(round_id: UUID, *, skip_locked: bool = False) -> Round | None:
    """The round with its row locked for this transaction; None if it is gone, or held and `skip_locked`."""
    locked = (
        Round.objects.select_for_update(skip_locked=skip_locked)
        .filter(pk=round_id)
        .values_list("pk", flat=True)
    )
    return ROUND.get(pk=round_id) if locked.first() is not None else None


def _one_step(round_id: UUID) -> bool:
    """One look at one round; True if it moved on, so that a further look may pay."""
    glance = ROUND.filter(pk=round_id).exclude(state__in=ENDED).first()
    if glance is None:
        return False
    prepared, failure = _prepare(glance)
    with transaction.atomic():
        round_ = held_round(round_id, skip_locked=True)
        if round_ is None or round_.state != glance.state:
            return False
        if failure is not None:
            return _stop(round_, failure)
        if round_.state == RoundState.DRAFT:
            leave(round_)
            return True
        return _reconcile(round_, prepared)


def _prepare(round_: Round) -> tuple[Any, DomainError | None]:
    step = STEPS.get(round_.state)
    try:
        return (step.prepare(round_) if step else None), None
    except DomainError as error:
        return None, error


def _reconcile(round_: Round, prepared: Any) -> bool:
    step = STEPS[round_.state]
    try:
        with transaction.atomic():
            step.start(round_, prepared)
        done = step.is_done(round_)
    except DomainError as error:
        # The savepoint took back what `start` changed; the object in memory may be ahead of the row.
        return _stop(ROUND.get(pk=round_.pk), error)
    if done != round_.step_done:
        round_.step_done = done
        round_.save(update_fields=["step_done"])
        wake(round_channel(round_.pk))
    if not done or not round_.is_automatic or round_.state == RoundState.REVIEW:
        return False
    leave(round_)
    return True


def _stop(round_: Round, error: DomainError) -> bool:
    log.warning("round_stopped", round=str(round_.pk), state=round_.state, code=error.error_code)
    step = error.step if isinstance(error, StepFailed) and error.step else round_.state
    stop_with(round_, code=error.error_code, reason=error.detail, step=step)
    return False
