"""Steps in which labelers work: demonstrations, rankings, and blind comparisons while the round is in review."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from inference.models import Completion
from inference.selectors import completions_of
from labeling.models import Batch, Prompt
from labeling.selectors import batch_progress
from labeling.services.batches import freeze, open_demonstration_batch
from labeling.services.candidates import open_ranking_batch
from labeling.states import BatchState
from training.models import Round
from training.selectors.prompts import prompts_for_demonstrations
from training.services.steps.base import Progress, Step, StepFailed, recipe_of

RESERVE = 1.25  # further prompts, so that a few skips do not keep the quota from being met


class PeopleStep(Step):
    """Waits until a batch has its quota, and freezes it when the round goes on."""

    unit = "answers"
    field = ""

    def batch(self, round_: Round) -> Batch | None:
        """The batch of this step."""
        found: Batch | None = getattr(round_, self.field)
        return found

    def progress(self, round_: Round) -> Progress:
        """Counted answers of the quota."""
        batch = self.batch(round_)
        return Progress(*batch_progress(batch)) if batch else Progress(0, 0)

    def is_done(self, round_: Round) -> bool:
        """The quota is met."""
        done, wanted = self.progress(round_)
        return done >= wanted

    def may_leave_early(self, round_: Round) -> bool:
        """With at least one answer there is something to go on with."""
        return self.progress(round_).done > 0

    def finish(self, round_: Round) -> None:
        """No more answers: what is frozen now is what the trainer reads."""
        batch = self.batch(round_)
        if batch is not None and batch.state == BatchState.OPEN:
            freeze(batch=batch)


class Demonstrating(PeopleStep):
    """Labelers write demonstrations."""

    field = "demonstration_batch"

    def start(self, round_: Round, prepared: Any) -> None:
        """Open the batch once."""
        recipe = recipe_of(round_)
        if round_.demonstration_batch is not None or recipe.demonstrations == 0:
            return
        chosen = prompts_for_demonstrations(round_, ceil(recipe.demonstrations * RESERVE))
        if not chosen:
            raise StepFailed(
                "no_prompts", "There is no prompt left to demonstrate on. Import prompts, then retry."
            )
        round_.demonstration_batch = open_demonstration_batch(
            project=round_.project,
            prompts=Prompt.objects.filter(pk__in=chosen),
            quota=min(recipe.demonstrations, len(chosen)),
            max_completion_tokens=recipe.params().max_tokens,
            title=f"Round {round_.number}: demonstrations",
        )
        round_.save(update_fields=["demonstration_batch"])


class RankingStep(PeopleStep):
    """Labelers order the completions of each prompt."""

    field = "ranking_batch"

    def start(self, round_: Round, prepared: Any) -> None:
        """Open the batch once, from what the sampler wrote."""
        if round_.ranking_batch is not None:
            return
        recipe = recipe_of(round_)
        batch = open_ranking_batch(
            project=round_.project,
            items=sampled(round_),
            overlap=recipe.overlap,
            max_completion_tokens=recipe.params().max_tokens,
            title=f"Round {round_.number}: rankings",
        )
        if batch.quota == 0:
            reason = "All completions of every prompt read the same; there is nothing to rank. Raise the temperature."
            raise StepFailed("nothing_to_rank", reason)
        round_.ranking_batch = batch
        round_.save(update_fields=["ranking_batch"])


class Review(PeopleStep):
    """A person decides; blind comparisons go on until then. Nothing moves on by itself from here."""

    field = "comparison_batch"

    def may_leave_early(self, round_: Round) -> bool:
        """Only promote and drop lead on."""
        return False


def sampled(round_: Round) -> Iterator[tuple[Prompt, list[Completion]]]:
    """(prompt, its completions) of the round's sampling job."""
    if round_.sampling_job is None:
        return
    groups: dict[str, list[Completion]] = {}
    for completion in completions_of(round_.sampling_job):
        if completion.request is not None:
            groups.setdefault(completion.request.key, []).append(completion)
    prompts = Prompt.objects.filter(project=round_.project, digest__in=groups)
    for prompt in prompts.order_by("id"):
        yield prompt, groups[prompt.digest]
