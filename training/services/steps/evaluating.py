"""Candidate and current policy answer the same prompts; the reward model scores both; KL is measured."""

from __future__ import annotations

from statistics import fmean, pstdev
from typing import Any

from inference.models import ModelVersion
from inference.states import JobState
from labeling.models import Prompt, TaskKind
from labeling.services.candidates import open_ranking_batch
from training.core.config import config_from_json
from training.models import Evaluation, Round, Run, RunKind
from training.recipe import Recipe
from training.selectors.evaluation import Pair, pairs_of
from training.selectors.prompts import prompts_for_evaluation
from training.services.runs import queue_run, retry_run
from training.services.steps.base import Progress, Step, StepFailed, recipe_of, require_run, seed_of
from training.services.steps.sampling import ask, forget_failed, require_job
from training.services.steps.training import check_kl
from training.states import RoundState, RunState

Summary = dict[str, Any]


class Evaluating(Step):
    """Two sampling jobs, then a score run, then numbers and blind comparisons."""

    unit = "completions"

    def start(self, round_: Round, prepared: Any) -> None:
        """Make what is missing, in order. Raises StepFailed."""
        if Evaluation.objects.filter(round=round_).exists():
            return
        candidate = self._candidate(round_)
        if not self._sampled(round_, candidate):
            return
        run = score_run(round_)
        if run is None and round_.reward is not None and round_.candidate_job is not None:
            run = self._queue_score(round_, candidate)
        if run is None or require_run(run, "Scoring"):
            self._conclude(round_)

    def is_done(self, round_: Round) -> bool:
        """There are numbers, or there was nothing to measure on. Raises StepFailed beyond the KL budget."""
        found = Evaluation.objects.filter(round=round_).first()
        if found is None:
            return False
        check_kl(recipe_of(round_), found.summary.get("kl_mean"))
        return True

    def progress(self, round_: Round) -> Progress:
        """Completions of both policies."""
        jobs = [job for job in (round_.candidate_job, round_.opponent_job) if job is not None]
        return Progress(sum(job.finished for job in jobs), sum(job.wanted for job in jobs))

    def finish(self, round_: Round) -> None:
        """Ask people to compare, blind."""
        recipe = recipe_of(round_)
        pairs = [pair for pair in pairs_of(round_) if pair.candidate.text != pair.current.text]
        if round_.comparison_batch is not None or not pairs or recipe.comparisons == 0:
            return
        digests = {pair.key: pair for pair in pairs[: recipe.comparisons]}
        prompts = Prompt.objects.filter(project=round_.project, digest__in=digests)
        round_.comparison_batch = open_ranking_batch(
            project=round_.project,
            items=(
                (prompt, [digests[prompt.digest].candidate, digests[prompt.digest].current])
                for prompt in prompts
            ),
            kind=TaskKind.COMPARISON,
            max_completion_tokens=recipe.params().max_tokens,
            title=f"Round {round_.number}: which answer is better",
        )
        round_.save(update_fields=["comparison_batch"])

    def again(self, round_: Round) -> None:
        """Jobs and runs that ended badly are replaced."""
        forget_failed(round_, "candidate_job", "opponent_job")
        run = score_run(round_)
        if run is not None and run.state in (RunState.FAILED, RunState.CANCELLED):
            retry_run(run=run, actor=None)

    def _candidate(self, round_: Round) -> ModelVersion:
        candidate = round_.candidate
        if candidate is None and not recipe_of(round_).has(RoundState.TRAINING_POLICY):
            candidate = round_.sft if round_.sft_id != round_.opponent_id else None
        if candidate is None:
            raise StepFailed(
                "no_candidate", "This round has made no policy that could be compared. Open a new round."
            )
        if round_.candidate_id is None:
            round_.candidate = candidate
            round_.save(update_fields=["candidate"])
        return candidate

    def _sampled(self, round_: Round, candidate: ModelVersion) -> bool:
        """Whether both have answered the same prompts (or there are none to be asked)."""
        recipe = recipe_of(round_)
        missing = [name for name in ("candidate_job", "opponent_job") if getattr(round_, name) is None]
        if missing:
            prompts = prompts_for_evaluation(round_, recipe.eval_prompts)
            if not prompts:
                return True
            versions = {"candidate_job": candidate, "opponent_job": round_.opponent}
            for name in missing:
                setattr(
                    round_, name, ask(round_, versions[name], prompts, 1, seed=seed_of(round_, "evaluating"))
                )
            round_.save(update_fields=missing)
        jobs = [round_.candidate_job, round_.opponent_job]
        for job in jobs:
            if job is not None:
                require_job(job)
        return all(job is not None and job.state == JobState.DONE for job in jobs)

    def _queue_score(self, round_: Round, candidate: ModelVersion) -> Run:
        return queue_run(
            project=round_.project,
            round=round_,
            kind=RunKind.SCORE,
            config=score_config(recipe_of(round_)),
            model=candidate,
            reward=round_.reward,
            reference=round_.sft,
        )

    def _conclude(self, round_: Round) -> None:
        summary = summarise(pairs_of(round_), kl_budget=recipe_of(round_).kl_budget)
        Evaluation.objects.create(round=round_, summary=summary)


def score_config(recipe: Recipe) -> Summary:
    """An answer that never ended counts as it did in training; DPO's never got a score there."""
    told = {name: value for name, value in recipe.policy_config.items() if name == "no_eos_reward"}
    return config_from_json("score", told).to_json()


def score_run(round_: Round) -> Run | None:
    """The newest score run of the present candidate and its present completions."""
    runs = Run.objects.filter(round=round_, kind=RunKind.SCORE, model=round_.candidate)
    if round_.candidate_job is not None:
        runs = runs.filter(created_at__gte=round_.candidate_job.created_at)
    return runs.order_by("-created_at").first()


def summarise(pairs: list[Pair], *, kl_budget: float | None) -> Summary:
    """Means over the same prompts. Reward and KL are null where nothing could be scored."""
    rewards = {
        side: [score.reward for pair in pairs if (score := getattr(pair, f"{side}_score")) is not None]
        for side in ("candidate", "current")
    }
    kls = [
        pair.candidate_score.kl
        for pair in pairs
        if pair.candidate_score and pair.candidate_score.kl is not None
    ]
    wins = [
        pair.candidate_score.reward > pair.current_score.reward
        for pair in pairs
        if pair.candidate_score is not None and pair.current_score is not None
    ]
    return {
        "prompts": len(pairs),
        "not_measured": "" if pairs else "There is no prompt outside the training split.",
        "reward_mean": {side: fmean(values) if values else None for side, values in rewards.items()},
        "reward_sd": {side: pstdev(values) if values else None for side, values in rewards.items()},
        "reward_win_rate": fmean(wins) if wins else None,
        "kl_mean": fmean(kls) if kls else None,
        "kl_budget": kl_budget,
        "length_mean": {
            "candidate": fmean(_length(pair.candidate.token_ids) for pair in pairs) if pairs else None,
            "current": fmean(_length(pair.current.token_ids) for pair in pairs) if pairs else None,
        },
    }


def _length(token_ids: Any) -> int:
    return len(token_ids or ())
