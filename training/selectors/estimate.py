"""How long a round will keep the machines busy, and from what we know it. People's time is not guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from accounts.models import Project
from inference.models import ModelVersion, SamplingJob
from inference.selectors import current_policy
from inference.states import JobState
from training.models import ROLLOUT_RUNS, Run, RunKind
from training.recipe import Recipe
from training.selectors.readiness import Stock, stock_of
from training.states import RoundState, RunState

# CPU seconds for one unit of work, and to start the process, of the shipped starter with the preset cpu-starter on short
# letters (x86-64, one thread; two cores hardly help a model this small). Only a first guess: the project's own runs
# replace it as soon as there are some.
STARTER_WEIGHTS = 1_090_000
START_UP = 8.0
STARTER_RATES: dict[str, float] = {
    RunKind.SFT: 0.02,  # a demonstration, once
    RunKind.REWARD: 0.01,  # a completion of a ranking, once
    RunKind.PPO: 0.05,  # an episode: sampled, scored, learned from
    RunKind.RLOO: 0.026,  # the same, learned from once and by one network
    RunKind.DPO: 0.013,  # a completion of a ranking, once; by policy and reference
    RunKind.SCORE: 0.005,  # a completion
    "sampling": 0.015,  # a completion
}
RANKED_RUNS = (RunKind.REWARD, RunKind.DPO)  # read all completions of a ranking
EARLIER = 3  # runs that are looked back on


class StepEstimate(TypedDict):
    """Seconds of machine time for one step; null where people decide how long it takes."""

    step: str
    seconds: float | None
    basis: str


class Estimate(TypedDict):
    """All steps of a recipe."""

    steps: list[StepEstimate]
    total_seconds: float


def estimate(project: Project, recipe: Recipe) -> Estimate:
    """Machine time of a round with this recipe in this project."""
    stock = stock_of(project)
    policy = current_policy(project)
    steps = [_step(project, recipe, step, stock, policy) for step in recipe.steps]
    return {"steps": steps, "total_seconds": round(sum(step["seconds"] or 0.0 for step in steps), 1)}


def units_of(kind: str, config: dict[str, Any], rows: int, k: int = 1) -> int:
    """Units of work of a run: demonstrations read, completions read, episodes, completions scored."""
    if kind in ROLLOUT_RUNS:
        return int(config["iterations"]) * int(config["episodes"])
    if kind in RANKED_RUNS:
        return rows * k * int(config["epochs"])
    return rows * int(config.get("epochs", 1))


def _step(
    project: Project, recipe: Recipe, step: str, stock: Stock, policy: ModelVersion | None
) -> StepEstimate:
    scale = max((policy.parameters if policy else 0) / STARTER_WEIGHTS, 0.02)
    kinds: dict[str, Callable[[], tuple[str, int]]] = {
        RoundState.TRAINING_SFT: lambda: (
            RunKind.SFT,
            units_of("sft", recipe.config("sft"), _demonstrations(recipe, stock)),
        ),
        RoundState.SAMPLING: lambda: ("sampling", min(recipe.prompts, stock.train + stock.valid) * recipe.k),
        RoundState.TRAINING_REWARD: lambda: (
            RunKind.REWARD,
            units_of("reward", recipe.config("reward"), _rankings(recipe, stock), recipe.k),
        ),
        RoundState.TRAINING_POLICY: lambda: (
            recipe.policy_algorithm,
            units_of(recipe.policy_algorithm, recipe.policy_config, _rankings(recipe, stock), recipe.k),
        ),
        RoundState.EVALUATING: lambda: (
            "sampling",
            2 * min(recipe.eval_prompts, stock.valid + stock.heldout),
        ),
    }
    if step not in kinds:
        return {"step": step, "seconds": None, "basis": "people"}
    kind, units = kinds[step]()
    earlier = _earlier_sampling(project) if kind == "sampling" else _earlier_runs(project, kind)
    if earlier is not None:
        return {
            "step": step,
            "seconds": round(START_UP + earlier * units, 1),
            "basis": "earlier runs of this project",
        }
    seconds = START_UP + STARTER_RATES[kind] * scale * units
    return {
        "step": step,
        "seconds": round(seconds, 1),
        "basis": "measured with the starter on CPU cores, scaled by weights",
    }


def _demonstrations(recipe: Recipe, stock: Stock) -> int:
    return stock.demonstrations + (recipe.demonstrations if recipe.has(RoundState.DEMONSTRATING) else 0)


def _rankings(recipe: Recipe, stock: Stock) -> int:
    asked = min(recipe.prompts, stock.train + stock.valid) * recipe.overlap
    return stock.rankings + (asked if recipe.has(RoundState.RANKING) else 0)


def _earlier_runs(project: Project, kind: str) -> float | None:
    """Seconds a unit over the newest runs of this kind that went through in one try."""
    runs = Run.objects.filter(project=project, kind=kind, state=RunState.SUCCEEDED, tries=1).select_related(
        "snapshot", "round"
    )
    seconds = units = 0.0
    for run in runs.order_by("-created_at")[:EARLIER]:
        if run.started_at is None or run.ended_at is None:
            continue
        rows = run.snapshot.counts.get("rows", {}).get("train", 0) if run.snapshot else 0
        k = int(run.round.recipe["k"]) if kind in RANKED_RUNS and run.round else 1
        work = units_of(kind, run.config, rows, k)
        seconds += max((run.ended_at - run.started_at).total_seconds() - START_UP, 0.1) if work else 0.0
        units += work
    return seconds / units if units else None


def _earlier_sampling(project: Project) -> float | None:
    jobs = SamplingJob.objects.filter(project=project, state=JobState.DONE, finished__gt=0).order_by(
        "-created_at"
    )
    seconds = units = 0.0
    for job in jobs[:EARLIER]:
        if job.started_at is not None and job.ended_at is not None:
            seconds += max((job.ended_at - job.started_at).total_seconds(), 0.1)
            units += job.finished
    return seconds / units if units else None
