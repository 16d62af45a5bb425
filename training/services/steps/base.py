"""What every step of a round has in common."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from common.errors import DomainError
from training.models import Round, Run
from training.recipe import Recipe
from training.states import RunState


class StepFailed(DomainError):
    """The round must stop here, with a reason that a person sees; `step` is what a retry does over."""

    code = "step_failed"

    def __init__(self, code: str, reason: str, *, step: str | None = None) -> None:
        super().__init__(reason, code=code)
        self.step = step


class Progress(NamedTuple):
    """How far a step is."""

    done: int
    wanted: int


class Step:
    """One step. The reconciler calls `prepare` without a lock, then the others with the round's row held."""

    unit = "percent"

    def prepare(self, round_: Round) -> Any:
        """What needs a transaction of its own (freezing a snapshot); its result goes to `start`."""
        return None

    def start(self, round_: Round, prepared: Any) -> None:
        """Make what is missing. Raises StepFailed where something ended badly or a threshold is not met."""

    def is_done(self, round_: Round) -> bool:
        """Whether the step has what it needs, so that the round may go on."""
        raise NotImplementedError

    def may_leave_early(self, round_: Round) -> bool:
        """Whether an admin may go on although the step is not done."""
        return False

    def finish(self, round_: Round) -> None:
        """Tidy up as the round goes on."""

    def progress(self, round_: Round) -> Progress:
        """How far it is, in `unit`."""
        return Progress(0, 0)

    def again(self, round_: Round) -> None:
        """Make room for a retry after the round failed here."""


def recipe_of(round_: Round) -> Recipe:
    """The round's recipe, typed."""
    return Recipe.parse(round_.recipe)


def seed_of(round_: Round, purpose: str) -> int:
    """Where the randomness of one run or job of a round starts: 48 bits, from the recipe's seed, the round and what it is for.

    The same seed in two rounds gives other answers to the same prompt, and other shuffles in each of its runs. All that
    is drawn for one purpose shares a seed: candidate and current policy are compared on the same draws.
    """
    text = f"{recipe_of(round_).seed}/{round_.number}/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def run_of(round_: Round, kind: str) -> Run | None:
    """The round's newest run of this kind."""
    return (
        Run.objects.filter(round=round_, kind=kind).select_related("produced").order_by("-created_at").first()
    )


def require_run(run: Run, step_name: str) -> bool:
    """Whether the run has succeeded. Raises StepFailed if it ended otherwise."""
    if run.state == RunState.FAILED:
        error = run.error or {}
        raise StepFailed(
            "run_failed",
            f"{step_name} failed ({error.get('code', 'unknown')}): {error.get('message', '')} {error.get('remedy', '')}".strip(),
        )
    if run.state == RunState.CANCELLED:
        raise StepFailed("run_cancelled", f"{step_name} was cancelled. Retry the round to start it again.")
    return run.state == RunState.SUCCEEDED
