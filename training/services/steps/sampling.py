"""The sampler writes K completions for every chosen prompt."""

from __future__ import annotations

from typing import Any

from inference.models import ModelVersion, SamplingJob
from inference.services import request_samples
from inference.states import JobState
from labeling.models import Prompt
from training.models import Round
from training.selectors.prompts import prompts_for_sampling
from training.services.steps.base import Progress, Step, StepFailed, recipe_of, seed_of
from training.states import RoundState


class Sampling(Step):
    """Asks for completions of the policy that this round teaches."""

    unit = "completions"

    def start(self, round_: Round, prepared: Any) -> None:
        """Ask once; see that the job has not ended badly."""
        recipe = recipe_of(round_)
        if round_.sampling_job is None:
            chosen = prompts_for_sampling(round_, recipe.prompts)
            round_.sampling_job = ask(
                round_, teaches(round_), chosen, recipe.k, seed=seed_of(round_, "sampling")
            )
            round_.save(update_fields=["sampling_job"])
        require_job(round_.sampling_job)

    def is_done(self, round_: Round) -> bool:
        """Every prompt has its K."""
        return round_.sampling_job is not None and round_.sampling_job.state == JobState.DONE

    def progress(self, round_: Round) -> Progress:
        """Completions written."""
        job = round_.sampling_job
        return Progress(job.finished, job.wanted) if job else Progress(0, 0)

    def again(self, round_: Round) -> None:
        """A job that ended badly is replaced by a new one."""
        forget_failed(round_, "sampling_job")


def teaches(round_: Round) -> ModelVersion:
    """The model whose answers are ranked and that PPO starts from: this round's SFT, or the policy it began with."""
    if recipe_of(round_).has(RoundState.TRAINING_SFT) and round_.sft is not None:
        return round_.sft
    return round_.opponent


def ask(round_: Round, version: ModelVersion, prompts: list[Prompt], n: int, *, seed: int) -> SamplingJob:
    """A job for `n` completions of each prompt. Raises StepFailed without prompts."""
    if not prompts:
        raise StepFailed("no_prompts", "There is no prompt to sample. Import prompts, then retry.")
    return request_samples(
        project=round_.project,
        version=version,
        prompts=[(prompt.digest, prompt.messages, n) for prompt in prompts],
        params=recipe_of(round_).params(),
        seed=seed,
    )


def require_job(job: SamplingJob) -> None:
    """Raise StepFailed if the job ended without its completions."""
    if job.state == JobState.FAILED:
        raise StepFailed("sampling_failed", f"Sampling failed: {job.reason}")
    if job.state == JobState.CANCELLED:
        raise StepFailed("sampling_cancelled", "Sampling was cancelled. Retry the round to start it again.")


def forget_failed(round_: Round, *fields: str) -> None:
    """Let go of jobs that ended badly."""
    for name in fields:
        job: SamplingJob | None = getattr(round_, name)
        if job is not None and job.state in (JobState.FAILED, JobState.CANCELLED):
            setattr(round_, name, None)
    round_.save(update_fields=list(fields))
