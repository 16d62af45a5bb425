"""Simulated labelers finish a step of a demo project's round."""

from __future__ import annotations

from uuid import UUID

from accounts.models import Role, User
from common.wake import CONTROL, round_channel, wake
from labeling.models import Batch
from labeling.simulated import simulate_batch, simulated_labelers
from labeling.states import BatchState
from training.models import Round
from training.services.steps import STEPS
from training.services.steps.people import PeopleStep


def simulate_round(round_id: UUID) -> int:
    """How many answers they gave; 0 where nothing waits for them, or people work in this project. Twice is harmless."""
    round_ = Round.objects.select_related("project").filter(pk=round_id).first()
    batch = _open_batch(round_) if round_ is not None and round_.project.is_demo else None
    if round_ is None or batch is None:
        return 0
    Round.objects.filter(pk=round_id).update(is_synthetic=True)
    given = simulate_batch(batch=batch, labelers=_labelers(round_), seed=int(round_.recipe["seed"]))
    wake(round_channel(round_id), CONTROL)
    return given


def _open_batch(round_: Round) -> Batch | None:
    step = STEPS.get(round_.state)
    batch = step.batch(round_) if isinstance(step, PeopleStep) else None
    return batch if batch is not None and batch.state == BatchState.OPEN else None


def _labelers(round_: Round) -> list[User]:
    synthetic = User.objects.filter(memberships__project=round_.project, is_synthetic=True)
    members = list(synthetic.exclude(memberships__role=Role.ADMIN).order_by("username").distinct())
    return members or simulated_labelers(project=round_.project)
