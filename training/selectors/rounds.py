"""Reads of rounds: the body that REST and the event stream show, within a bounded number of queries."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from accounts.access import Viewer, projects_visible_to
from inference.models import SamplingJob
from labeling.models import Batch
from labeling.selectors import batch_progress, held_by_people
from labeling.states import BatchState
from training.models import POLICY_RUNS, Evaluation, Round, Run, RunKind
from training.selectors.evaluation import comparisons_of
from training.states import ENDED, STEPS, RoundState, RunState

UNITS = {
    RoundState.DEMONSTRATING: "answers",
    RoundState.SAMPLING: "completions",
    RoundState.RANKING: "answers",
    RoundState.EVALUATING: "completions",
    RoundState.REVIEW: "answers",
}
BATCHES = {
    RoundState.DEMONSTRATING: "demonstration_batch",
    RoundState.RANKING: "ranking_batch",
    RoundState.REVIEW: "comparison_batch",
}
RUNS = {
    RoundState.TRAINING_SFT: (RunKind.SFT,),
    RoundState.TRAINING_REWARD: (RunKind.REWARD,),
    RoundState.TRAINING_POLICY: POLICY_RUNS,  # one of them, as the recipe says
    RoundState.EVALUATING: (RunKind.SCORE,),
}
WAITS_FOR = {
    RoundState.DRAFT: "starting",
    RoundState.DEMONSTRATING: "demonstrations",
    RoundState.TRAINING_SFT: "run",
    RoundState.SAMPLING: "sampler",
    RoundState.RANKING: "rankings",
    RoundState.TRAINING_REWARD: "run",
    RoundState.TRAINING_POLICY: "run",
}
VERSIONS = ("opponent", "sft", "reward", "candidate")
JOBS = ("sampling_job", "candidate_job", "opponent_job")


def rounds_visible_to(viewer: Viewer) -> QuerySet[Round]:
    """Rounds of the viewer's projects, newest first, with everything that stands beside them."""
    return (
        Round.objects.filter(project__in=projects_visible_to(viewer))
        .select_related(
            "project", "evaluation", *VERSIONS, *BATCHES.values(), *(f"{job}__version" for job in JOBS)
        )
        .prefetch_related("runs")
        .order_by("-number")
    )


def round_body(round_: Round) -> dict[str, Any]:
    """One round as REST and the event stream show it."""
    runs: dict[str, Run] = {
        run.kind: run for run in sorted(round_.runs.all(), key=lambda run: run.created_at)
    }
    steps = [
        _step(round_, step, runs)
        for step in STEPS
        if step == RoundState.REVIEW or step in round_.recipe["steps"]
    ]
    return {
        "id": round_.pk,
        "project": round_.project_id,
        "number": round_.number,
        "state": round_.state,
        "automatic": round_.is_automatic,
        "step_done": round_.step_done,
        "waiting_for": _waiting_for(round_, runs),
        "reason": round_.reason,
        "reason_code": round_.reason_code,
        "failed_at_step": round_.failed_at_step,
        "recipe": round_.recipe,
        "is_synthetic": round_.is_synthetic,
        "created_at": round_.created_at,
        "ended_at": round_.ended_at,
        **{name: getattr(round_, name) for name in VERSIONS},
        "steps": steps,
        "evaluation": _evaluation(round_, steps),
        "actions": _actions(round_, steps),
    }


def _step(round_: Round, step: RoundState, runs: dict[str, Run]) -> dict[str, Any]:
    entry = round_.timeline.get(step, {})
    run = next((runs[kind] for kind in RUNS.get(step, ()) if kind in runs), None)
    batch: Batch | None = getattr(round_, BATCHES[step]) if step in BATCHES else None
    jobs = _jobs(round_, step)
    done, wanted = _progress(step, entry, run, batch, jobs)
    # Only the present step, still short of answers, has tasks that anybody could hold.
    asks = batch if round_.state == step and done < wanted else None
    return {
        "step": step,
        "state": _step_state(round_, step, entry),
        "done": done,
        "wanted": wanted,
        "unit": UNITS.get(step, "percent"),
        "run": run,
        "job": _job_body(jobs),
        "batch": {"id": batch.pk, "kind": batch.kind} if batch else None,
        "held": held_by_people(asks) if asks else None,
        "started_at": entry.get("started_at"),
        "ended_at": entry.get("ended_at"),
    }


def _progress(
    step: RoundState, entry: dict[str, Any], run: Run | None, batch: Batch | None, jobs: list[SamplingJob]
) -> tuple[int, int]:
    """What is written down once the step is over; until then what the batch, the jobs or the run say."""
    if "ended_at" in entry:
        return entry.get("done", 0), entry.get("wanted", 0)
    if batch is not None:
        return batch_progress(batch)
    if jobs:
        return sum(job.finished for job in jobs), sum(job.wanted for job in jobs)
    # The number of steps of a run is known only as a share, so the page shows percents.
    return (round(100 * run.progress), 100) if run else (0, 100 if step in RUNS else 0)


def _jobs(round_: Round, step: RoundState) -> list[SamplingJob]:
    names = {RoundState.SAMPLING: JOBS[:1], RoundState.EVALUATING: JOBS[1:]}.get(step, ())
    return [job for name in names if (job := getattr(round_, name)) is not None]


def _job_body(jobs: list[SamplingJob]) -> dict[str, Any] | None:
    """One job, or several as if they were one: the state of the least finished."""
    if not jobs:
        return None
    slowest = min(jobs, key=lambda job: (job.state == "done", job.finished))
    return {
        "id": slowest.pk,
        "model": {"id": jobs[0].version_id, "name": jobs[0].version.name} if len(jobs) == 1 else None,
        "state": slowest.state,
        "finished": sum(job.finished for job in jobs),
        "wanted": sum(job.wanted for job in jobs),
        "tokens_per_second": slowest.tokens_per_second,
    }


def _step_state(round_: Round, step: RoundState, entry: dict[str, Any]) -> str:
    if round_.state == step:
        return "active"
    if round_.state == RoundState.FAILED and round_.failed_at_step == step:
        return "failed"
    if "ended_at" in entry:
        return "done"
    if round_.state not in ENDED:
        return "waiting"
    return "cancelled" if "started_at" in entry else "skipped"


def _waiting_for(round_: Round, runs: dict[str, Run]) -> str:
    if round_.state in ENDED:
        return ""
    if round_.state == RoundState.REVIEW:
        open_batch = round_.comparison_batch is not None and round_.comparison_batch.state == BatchState.OPEN
        return "comparisons" if open_batch and not round_.step_done else "decision"
    if round_.step_done:
        return "going_on" if round_.is_automatic else "confirmation"
    if round_.state == RoundState.EVALUATING:
        run = runs.get(RunKind.SCORE)
        return "run" if run is not None and run.state in (RunState.QUEUED, RunState.RUNNING) else "sampler"
    return WAITS_FOR[RoundState(round_.state)]


def _evaluation(round_: Round, steps: list[dict[str, Any]]) -> dict[str, Any] | None:
    found: Evaluation | None = getattr(round_, "evaluation", None)
    if found is None:
        return None
    wanted = next((step["wanted"] for step in steps if step["step"] == RoundState.REVIEW), 0)
    return {**found.summary, "comparisons": {**comparisons_of(round_), "wanted": wanted}}


def _actions(round_: Round, steps: list[dict[str, Any]]) -> list[str]:
    """What an admin may do now; the services decide again when asked."""
    state = round_.state
    if state in ENDED:
        return ["retry", "cancel"] if state == RoundState.FAILED else []
    found = []
    active = next((step for step in steps if step["step"] == state), None)
    people = state in BATCHES and active is not None
    if state != RoundState.REVIEW and (round_.step_done or (people and active and active["done"] > 0)):
        found.append("advance")
    found.append("cancel")
    if state == RoundState.REVIEW:
        found += ["promote", "drop"] if round_.candidate_id else ["drop"]
    if people and round_.project.is_demo and active and active["done"] < active["wanted"]:
        found.append("simulate")
    return found
