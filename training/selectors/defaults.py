"""The recipe that a launch form begins with: small enough for the project, its model and its people."""

from __future__ import annotations

from typing import Any

from accounts.models import Project
from inference.models import VersionKind
from inference.selectors import current_policy
from training.core.config import describe
from training.core.presets import OFFERED, SOURCED
from training.recipe import RECIPE_STEPS, TRAINED, Recipe
from training.selectors.estimate import estimate
from training.selectors.readiness import Stock, missing, stock_of
from training.states import RoundState

ENOUGH_DEMONSTRATIONS = 16  # below this a first round asks people for some
MANY_VALID_PROMPTS = 30  # from here on the reward model's accuracy is no accident any more
SMALL_MODEL = 50_000_000  # weights up to which the preset for CPUs is right
LATER = (RoundState.SAMPLING, RoundState.RANKING, RoundState.TRAINING_REWARD, RoundState.TRAINING_POLICY, RoundState.EVALUATING)  # fmt: skip


def default_recipe(project: Project) -> Recipe:
    """The first round goes through all steps that have something to do; later ones leave SFT out (InstructGPT 3.1)."""
    stock, policy = stock_of(project), current_policy(project)
    is_first = policy is None or policy.kind == VersionKind.BASE
    asked = _demonstrations(stock) if is_first else 0
    preset = "cpu-starter" if policy is None or policy.parameters <= SMALL_MODEL else "instructgpt"
    usable, measured = stock.train + stock.valid, stock.valid + stock.heldout
    return Recipe.parse(
        {
            "steps": _steps(is_first=is_first, asked=asked),
            "demonstrations": asked,
            "prompts": max(1, min(32, usable)),
            "k": 4,
            "overlap": 1,
            "sampling": {"max_tokens": _max_tokens(policy.context_tokens if policy else 0)},
            "sft": {"preset": preset},
            "reward": {"preset": preset},
            "ppo": {"preset": preset},
            "rloo": {"preset": preset},
            "dpo": {"preset": preset},
            "eval_prompts": min(64, measured),
            "comparisons": min(20, measured),
            "min_reward_accuracy": 0.5 if stock.valid >= MANY_VALID_PROMPTS else None,
            "min_heldout": 8,
        }
    )


def recipe_defaults(project: Project) -> dict[str, Any]:
    """Everything that the launch form shows before anybody has typed."""
    recipe = default_recipe(project)
    return {
        "recipe": recipe.to_json(),
        "fields": {
            "recipe": Recipe.describe(),
            **{kind: describe(kind) for kind in TRAINED},
        },
        "presets": {name: {kind: _sourced(name, kind) for kind in TRAINED} for name in OFFERED},
        "estimate": estimate(project, recipe),
        "missing": missing(project, recipe),
    }


def _sourced(preset: str, kind: str) -> list[dict[str, Any]]:
    """What a preset sets in a stage, and where each value comes from. How long a policy's answers are, it does not: see Recipe.config."""
    values = SOURCED[preset][kind].items()
    return [
        {"name": name, "value": value, "source": source}
        for name, (value, source) in values
        if name != "max_new_tokens"
    ]


def _demonstrations(stock: Stock) -> int:
    if stock.demonstrations >= ENOUGH_DEMONSTRATIONS:
        return 0
    return min(ENOUGH_DEMONSTRATIONS, stock.train + stock.valid)


def _steps(*, is_first: bool, asked: int) -> list[str]:
    if not is_first:
        return [str(step) for step in LATER]
    return [step for step in RECIPE_STEPS if asked or step != RoundState.DEMONSTRATING]


def _max_tokens(context: int) -> int:
    """Half of the context at most, so that a prompt fits beside the answer."""
    return max(8, min(64, context // 2)) if context else 64
