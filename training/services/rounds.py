"""What people do with a round: open, go on, cancel, retry, promote, drop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.timezone import now

from accounts.events import record
from accounts.models import Project, User
from common.errors import DomainError, KeyReused, NotFound
from common.state_machine import IllegalMove, move
from common.wake import CONTROL, round_channel, wake
from inference import services as inference
from inference.selectors import current_policy
from labeling.services import batches
from labeling.states import BatchState
from training.models import Round, Run
from training.recipe import Recipe
from training.selectors.chain import chain_sft
from training.selectors.readiness import blocking
from training.services.reconcile import held_round, leave
from training.services.runs import cancel_run
from training.services.steps import STEPS
from training.states import ENDED, ROUND_MOVES, RoundState, RunState


class RoundRunning(DomainError):
    """A project has one live round at a time."""

    code = "round_running"
    message = "Another round of this project is under way. Finish or cancel it first."


class RoundNotReady(DomainError):
    """Something that the recipe needs is not there at all."""

    code = "round_not_ready"


class StepNotDone(DomainError):
    """The step still waits for something."""

    code = "step_not_done"
    message = "This step still waits for what it needs. Look at its progress."


class NotRetryable(DomainError):
    """Only a failed round can be tried again."""

    code = "round_not_failed"
    message = "Only a round that failed can be retried."


class NothingToDecide(DomainError):
    """The round is not in review, or has made nothing that could be promoted."""

    code = "nothing_to_decide"
    message = "Promote or drop once the round is in review and has a candidate."


@transaction.atomic
def open_round(
    *,
    project: Project,
    recipe: Recipe | Mapping[str, Any],
    automatic: bool = False,
    actor: User | None = None,
    idempotency_key: str = "",
    body_sha256: str = "",
) -> Round:
    """A new round in `draft`; the reconciler starts it. The same key again gives the same round.

    Raises RoundRunning, RoundNotReady, BadRecipe or KeyReused.
    """
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.parse(recipe)
    Project.objects.select_for_update(no_key=True).get(
        pk=project.pk
    )  # Numbers are given out one after the other.
    if idempotency_key:
        before = Round.objects.filter(
            project=project, created_by=actor, idempotency_key=idempotency_key
        ).first()
        if before is not None:
            if before.body_sha256 != body_sha256:
                raise KeyReused
            return before
    _require_free(project)
    opponent = current_policy(project)
    missing = blocking(project, recipe)
    if opponent is None or missing:
        message = (
            missing[0]["message"]
            if missing
            else "The project has no current policy. Register a base model first."
        )
        raise RoundNotReady(message, extra={"missing": missing})
    number = Round.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
    round_ = Round.objects.create(
        project=project,
        number=number + 1,
        recipe=recipe.to_json(),
        is_automatic=automatic,
        opponent=opponent,
        sft=None if recipe.has(RoundState.TRAINING_SFT) else chain_sft(opponent),
        created_by=actor,
        idempotency_key=idempotency_key,
        body_sha256=body_sha256,
    )
    record("round.opened", subject=round_, actor=actor, number=round_.number, automatic=automatic)
    wake(CONTROL)
    return round_


@transaction.atomic
def advance(*, round: Round, actor: User | None, note: str = "") -> Round:
    """Go on to the next step: it is done, or people have answered enough for this admin. Raises StepNotDone."""
    round_ = _held(round)
    step = STEPS.get(round_.state)
    if round_.state in ENDED or round_.state == RoundState.REVIEW:
        raise StepNotDone(f"The round is in {round_.state}; there is no next step to go on to.")
    if step is None or not (round_.step_done or step.may_leave_early(round_)):
        raise StepNotDone
    record(
        "round.advanced",
        subject=round_,
        actor=actor,
        state=round_.state,
        early=not round_.step_done,
        note=note[:200],
    )
    leave(round_, actor=actor)
    return _news(round_)


@transaction.atomic
def set_automatic(*, round: Round, automatic: bool, actor: User | None) -> Round:
    """Let the round run by itself, or confirm each step."""
    round_ = _held(round)
    if round_.is_automatic != automatic:
        round_.is_automatic = automatic
        round_.save(update_fields=["is_automatic"])
        record("round.automatic_set", subject=round_, actor=actor, automatic=automatic)
    return _news(round_)


@transaction.atomic
def cancel(*, round: Round, actor: User | None, note: str = "") -> Round:
    """Stop the round and everything it asked for; what people did stays. A second time does nothing."""
    round_ = _held(round)
    if round_.state == RoundState.CANCELLED:
        return round_
    move(round_, RoundState.CANCELLED, ROUND_MOVES, reason=note[:2000], ended_at=now(), step_done=False)
    _stop_all(round_, actor)
    record("round.cancelled", subject=round_, actor=actor)
    return _news(round_)


@transaction.atomic
def retry(*, round: Round, actor: User | None, note: str = "") -> Round:
    """Do the failed step over. Raises NotRetryable, or RoundRunning if another round has begun meanwhile."""
    round_ = _held(round)
    if round_.state != RoundState.FAILED or round_.failed_at_step not in STEPS:
        raise NotRetryable
    step = round_.failed_at_step
    timeline = {**round_.timeline, step: {"started_at": now().isoformat()}}
    try:
        with transaction.atomic():
            move(
                round_, step, ROUND_MOVES, from_=RoundState.FAILED,
                reason="", reason_code="", failed_at_step="", ended_at=None, step_done=False, timeline=timeline,
            )  # fmt: skip
    except IntegrityError:
        raise RoundRunning from None
    STEPS[step].again(round_)
    record("round.retried", subject=round_, actor=actor, step=step, note=note[:200])
    return _news(round_)


@transaction.atomic
def promote(*, round: Round, actor: User | None, note: str = "") -> Round:
    """Make the candidate the project's policy: the next round samples from it. A second time does nothing."""
    round_ = _held(round)
    if round_.state == RoundState.PROMOTED:
        return round_
    if round_.state != RoundState.REVIEW or round_.candidate is None:
        raise NothingToDecide
    _close_review(round_, RoundState.PROMOTED)
    inference.promote(version=round_.candidate, actor=actor, reason=note)
    record("round.promoted", subject=round_, actor=actor, version=str(round_.candidate_id))
    return _news(round_)


@transaction.atomic
def drop(*, round: Round, actor: User | None, note: str = "") -> Round:
    """Refuse the candidate; the current policy stays. A second time does nothing."""
    round_ = _held(round)
    if round_.state == RoundState.DROPPED:
        return round_
    if round_.state != RoundState.REVIEW:
        raise NothingToDecide
    _close_review(round_, RoundState.DROPPED)
    if round_.candidate is not None:
        inference.drop(version=round_.candidate, actor=actor, reason=note)
    record("round.dropped", subject=round_, actor=actor, version=str(round_.candidate_id or ""))
    return _news(round_)


def _close_review(round_: Round, state: RoundState) -> None:
    step = STEPS[RoundState.REVIEW]
    done, wanted = step.progress(round_)
    step.finish(round_)
    entry = {
        **round_.timeline.get("review", {}),
        "ended_at": now().isoformat(),
        "done": done,
        "wanted": wanted,
    }
    timeline = {**round_.timeline, "review": entry}
    move(
        round_,
        state,
        ROUND_MOVES,
        from_=RoundState.REVIEW,
        ended_at=now(),
        step_done=False,
        timeline=timeline,
    )


def _stop_all(round_: Round, actor: User | None) -> None:
    for run in Run.objects.filter(round=round_, state__in=(RunState.QUEUED, RunState.RUNNING)):
        cancel_run(run=run, actor=actor)
    for job in (round_.sampling_job, round_.candidate_job, round_.opponent_job):
        if job is not None:
            inference.cancel_job(job=job, actor=actor, reason="The round was cancelled.")
    for batch in (round_.demonstration_batch, round_.ranking_batch, round_.comparison_batch):
        if batch is not None and batch.state == BatchState.OPEN:
            batches.cancel(batch=batch, actor=actor)


def _require_free(project: Project) -> None:
    live = Round.objects.filter(project=project).exclude(state__in=ENDED).first()
    if live is not None:
        raise RoundRunning(
            f"Round {live.number} is under way ({live.state}). Finish or cancel it first.",
            extra={"round": str(live.pk), "number": live.number},
        )


def _held(round_: Round) -> Round:
    held = held_round(round_.pk)
    if held is None:
        raise NotFound
    return held


def _news(round_: Round) -> Round:
    wake(round_channel(round_.pk), CONTROL)
    return round_


__all__ = ["IllegalMove", "advance", "cancel", "drop", "open_round", "promote", "retry", "set_automatic"]
