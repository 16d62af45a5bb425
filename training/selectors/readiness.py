"""What a project has, and what a recipe would still need: told before a launch, with what to do about it."""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

from django.db.models import Count, Min, TextField
from django.db.models.functions import Cast, Length

from accounts.models import Membership, Pool, Project
from inference.models import ModelVersion
from inference.selectors import current_policy
from labeling.models import Demonstration, Prompt, Ranking, Split, TaskKind
from labeling.selectors import may_be_learned
from training.models import ROLLOUT_RUNS
from training.recipe import Recipe
from training.selectors.chain import base_of, earlier_reward, judge_of
from training.states import RoundState

# Characters a token. Only the trainer has the tokenizer: a launch is refused where hardly any tokenizer would leave room, and the
# remedy leaves room with most.
MOST_CHARACTERS, FEW_CHARACTERS = 8, 2
FEW_PROMPTS = "Import more prompts, or ask for fewer; held-out ones do not count."


class Missing(TypedDict):
    """Something that a recipe would need. `blocking`: without it the round cannot be opened."""

    code: str
    message: str
    remedy: str
    blocking: bool


class Stock(NamedTuple):
    """What there is."""

    train: int  # prompts by split, that may be trained on
    valid: int
    heldout: int
    demonstrations: int  # that may be trained on
    rankings: int
    labelers: int
    has_policy: bool


def stock_of(project: Project) -> Stock:
    """Five queries."""
    rows = (
        Prompt.objects.filter(may_be_learned(), project=project).values_list("split").annotate(n=Count("pk"))
    )
    splits = {str(split): int(n) for split, n in rows}
    learned = may_be_learned("task__prompt__")
    usable: dict[str, Any] = {"project": project, "is_latest": True, "is_late": False}
    return Stock(
        train=splits.get(Split.TRAIN, 0),
        valid=splits.get(Split.VALID, 0),
        heldout=splits.get(Split.HELDOUT, 0),
        demonstrations=Demonstration.objects.filter(learned, **usable).exclude(pool=Pool.HELDOUT).count(),
        rankings=Ranking.objects.filter(learned, **usable, task__kind=TaskKind.RANKING)
        .exclude(pool=Pool.HELDOUT)
        .count(),
        labelers=Membership.objects.filter(project=project).exclude(pool=Pool.HELDOUT).count(),
        has_policy=current_policy(project) is not None,
    )


def missing(project: Project, recipe: Recipe) -> list[Missing]:
    """What blocks a launch first, then what will only be measured or done worse."""
    stock = stock_of(project)
    return (
        _blocking(stock, recipe)
        + _without_reward(project, recipe)
        + _no_room(project, recipe)
        + _thin(stock, recipe)
        + _long(project, recipe)
    )


def blocking(project: Project, recipe: Recipe) -> list[Missing]:
    """Only what makes a launch impossible."""
    return _blocking(stock_of(project), recipe) + _without_reward(project, recipe) + _no_room(project, recipe)


def _without_reward(project: Project, recipe: Recipe) -> list[Missing]:
    """Reward models that the recipe counts on: one of an earlier round that chooses the SFT step, and the policy's judge."""
    policy = current_policy(project)
    if policy is None:
        return []
    return _nothing_to_choose_by(project, recipe, policy) + _no_judge(project, recipe)


def _no_judge(project: Project, recipe: Recipe) -> list[Missing]:
    """Policy training is watched by a reward model of the project; the run itself compares tokenizers."""
    if not recipe.has(RoundState.TRAINING_POLICY) or recipe.policy_algorithm not in ROLLOUT_RUNS:
        return []
    judge = judge_of(project, recipe)
    if judge is None and recipe.judge is not None:
        text = "The judge is no reward model of this project."
    elif judge is None and recipe.policy_config["judge_drop_limit"] is not None:
        text = "judge_drop_limit is set, but the round names no judge."
    else:
        return []
    return [_gap("no_judge", text, "Choose one of the project's reward models as judge, or do without.")]


def _nothing_to_choose_by(project: Project, recipe: Recipe, policy: ModelVersion) -> list[Missing]:
    """SFT can be chosen by reward once a round has made a reward model that reads the base model's tokens."""
    if not recipe.has(RoundState.TRAINING_SFT) or recipe.config("sft")["select"] != "reward":
        return []
    if earlier_reward(project, base_of(policy)) is not None:
        return []
    text = "sft.select is reward, but no earlier round has made a reward model for this base model."
    return [_gap("no_reward_model", text, "Set sft.select to valid_loss or last in this round.")]


def _no_room(project: Project, recipe: Recipe) -> list[Missing]:
    """Trainings that sample answers drop prompts without room for the longest one beside them, and end where none is left."""
    policy = current_policy(project)
    context = policy.context_tokens if policy else 0
    if not context:
        return []
    shortest = _shortest_prompt(project)
    for setting, longest in _sampled(recipe):
        if longest + shortest // MOST_CHARACTERS >= context:
            text = f"{setting} is {longest}, but prompt and answer together have room for {context} tokens: no prompt would be left."
            most = max(1, min(context // 2, context - shortest // FEW_CHARACTERS - 1))
            return [_gap("no_room", text, f"Lower {setting} to at most {most}.")]
    return []


def _sampled(recipe: Recipe) -> list[tuple[str, int]]:
    """(setting, tokens) of the answers that the recipe's trainings sample. DPO is not here: its answers may end at the context."""
    found = []
    if recipe.has(RoundState.TRAINING_SFT) and (sft := recipe.config("sft"))["select"] == "reward":
        found.append(("sft.reward_tokens", int(sft["reward_tokens"])))
    if (
        recipe.has(RoundState.TRAINING_REWARD)
        and (reward := recipe.config("reward"))["normalize"] == "samples"
    ):
        found.append(("reward.normalize_tokens", int(reward["normalize_tokens"])))
    if recipe.has(RoundState.TRAINING_POLICY) and recipe.policy_algorithm in ROLLOUT_RUNS:
        found.append(
            (f"{recipe.policy_algorithm}.max_new_tokens", int(recipe.policy_config["max_new_tokens"]))
        )
    return found


def _shortest_prompt(project: Project) -> int:
    """Characters of the shortest training prompt as JSON, whose marks stand for those of the chat template."""
    usable = Prompt.objects.filter(may_be_learned(), project=project, split=Split.TRAIN)
    length = usable.aggregate(least=Min(Length(Cast("messages", TextField()))))["least"]
    return int(length or 0)


def _blocking(stock: Stock, recipe: Recipe) -> list[Missing]:
    found = []
    asks = recipe.has(RoundState.DEMONSTRATING) and recipe.demonstrations > 0
    if not stock.has_policy:
        found.append(
            _gap(
                "no_policy",
                "This project has no model to start from.",
                "Open a new project with a base model and import its prompts there.",
            )
        )
    if stock.train == 0 and (
        asks or recipe.has(RoundState.SAMPLING) or recipe.has(RoundState.TRAINING_POLICY)
    ):
        found.append(_gap("no_prompts", "There is no prompt in the training split.", "Import prompts."))
    if recipe.has(RoundState.TRAINING_SFT) and not asks and stock.demonstrations == 0:
        remedy = "Import demonstrations, or let the round ask for some."
        found.append(_gap("no_demonstrations", "There is no demonstration to learn from.", remedy))
    if recipe.has(RoundState.TRAINING_REWARD) and not recipe.has(RoundState.RANKING) and stock.rankings == 0:
        remedy = "Add the steps sampling and ranking."
        found.append(_gap("no_rankings", "There is no ranking to learn from.", remedy))
    return found


def _thin(stock: Stock, recipe: Recipe) -> list[Missing]:
    """Shortages with which a round goes on, worse or unmeasured."""
    found = []
    usable, measured = stock.train + stock.valid, stock.valid + stock.heldout
    if recipe.has(RoundState.DEMONSTRATING) and 0 < usable < recipe.demonstrations:
        text = f"{recipe.demonstrations} demonstrations are asked for; the round will ask for {usable}, one a prompt."
        found.append(_gap("few_prompts_to_answer", text, FEW_PROMPTS, stops=False))
    if recipe.has(RoundState.SAMPLING) and 0 < usable < recipe.prompts:
        text = f"{recipe.prompts} prompts are asked for; the round will take the {usable} that there are."
        found.append(_gap("few_prompts", text, FEW_PROMPTS, stops=False))
    if recipe.has(RoundState.EVALUATING) and measured < recipe.min_heldout:
        text = (
            f"Only {measured} prompts are outside the training split; {recipe.min_heldout - measured} more are needed to"
            " compare candidate and current policy. The version will be marked as not measured where there are none."
        )
        found.append(
            _gap("few_heldout_prompts", text, "Import more prompts: one in ten is held out.", stops=False)
        )
    if recipe.has(RoundState.TRAINING_REWARD) and stock.valid == 0:
        text = "No prompt is in the validation split, so the reward model's accuracy cannot be measured."
        found.append(
            _gap("no_valid_prompts", text, "Import more prompts: one in twenty goes there.", stops=False)
        )
    if stock.labelers < recipe.overlap and recipe.has(RoundState.RANKING):
        text = f"{recipe.overlap} labelers are to rank each prompt; the project has {stock.labelers}."
        found.append(_gap("few_labelers", text, "Invite labelers, or lower the overlap.", stops=False))
    return found


def _long(project: Project, recipe: Recipe) -> list[Missing]:
    """Answers that the model could not finish: prompt and answer share its context."""
    policy, longest = current_policy(project), int(recipe.sampling["max_tokens"])
    if policy is None or not policy.context_tokens or longest < policy.context_tokens:
        return []
    text = f"Answers may have {longest} tokens, but prompt and answer together have room for {policy.context_tokens}."
    remedy = f"Set the longest answer to {policy.context_tokens // 2} or less."
    return [_gap("long_answers", text, remedy, stops=False)]


def _gap(code: str, message: str, remedy: str, *, stops: bool = True) -> Missing:
    return Missing(code=code, message=message, remedy=remedy, blocking=stops)
