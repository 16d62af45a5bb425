"""What a round is asked to do: which steps, how much of each, with which settings, and where it has to stop.

Torch-free and without a database: forms, REST and the reconciler read the same class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, Self, get_args
from uuid import UUID

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from common.errors import FieldError, InvalidInput
from inference.engine.config import SamplingParams, in_json
from training.core.config import CONFIGS, PRESETS, config_from_json
from training.states import STEPS, RoundState

RECIPE_STEPS = tuple(str(step) for step in STEPS if step != RoundState.REVIEW)
TRAINED = {
    "sft": RoundState.TRAINING_SFT,
    "reward": RoundState.TRAINING_REWARD,
    "ppo": RoundState.TRAINING_POLICY,
    "rloo": RoundState.TRAINING_POLICY,
    "dpo": RoundState.TRAINING_POLICY,
}
PolicyAlgorithm = Literal["ppo", "rloo", "dpo"]
POLICY_ALGORITHMS: tuple[str, ...] = get_args(PolicyAlgorithm)
NEEDS = {  # a step -> the steps of which one must stand before it in the same recipe
    RoundState.SAMPLING: (),
    RoundState.RANKING: (RoundState.SAMPLING,),
    RoundState.TRAINING_POLICY: (RoundState.TRAINING_REWARD,),
    RoundState.EVALUATING: (RoundState.TRAINING_POLICY, RoundState.TRAINING_SFT),
}
JSON = dict[str, Any]


class BadRecipe(InvalidInput):
    """The recipe can't be carried out as it is; `errors` names every wrong field."""

    code = "bad_recipe"


class Recipe(BaseModel):
    """A round's recipe. Every number has a range; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    steps: tuple[str, ...] = Field(
        RECIPE_STEPS,
        description="The steps of this round, in their order; rounds after the first usually leave SFT out.",
        json_schema_extra={"source": "IG 3.1"},
    )
    demonstrations: int = Field(
        16,
        ge=0,
        le=100_000,
        description="Demonstrations wanted from labelers.",
        json_schema_extra={"unit": "answers", "source": "IG 3.2: 13k; ours: 16"},
    )
    prompts: int = Field(
        32,
        ge=1,
        le=100_000,
        description="Prompts that are sampled and ranked.",
        json_schema_extra={"unit": "prompts", "source": "IG 3.2: 33k; ours: 32"},
    )
    k: int = Field(
        4,
        ge=2,
        le=9,
        description="Completions per prompt that are ranked together.",
        json_schema_extra={"unit": "completions", "source": "IG 3.5: 4 to 9"},
    )
    overlap: int = Field(
        1,
        ge=1,
        le=9,
        description="Labelers who rank the same prompt.",
        json_schema_extra={"unit": "labelers", "source": "IG 5.3: mostly 1"},
    )
    sampling: JSON = Field(
        default_factory=lambda: {"max_tokens": 64},
        description="How completions are drawn.",
        json_schema_extra={"source": "ours: suits the starter's answers"},
    )
    sft: JSON = Field(
        default_factory=dict,
        description="Settings of supervised fine-tuning: a preset and what differs from it.",
        json_schema_extra={"source": "IG C.1"},
    )
    reward: JSON = Field(
        default_factory=dict,
        description="Settings of the reward model: a preset and what differs from it.",
        json_schema_extra={"source": "IG C.2"},
    )
    policy_algorithm: PolicyAlgorithm = Field(
        "ppo",
        description="How the policy learns: PPO with a value network; RLOO, where answers to a prompt are each other's baseline;"
        " or DPO, from the rankings themselves, with the reward model for measuring alone.",
        json_schema_extra={"source": "IG 3.5; 2402.14740; 2305.18290"},
    )
    ppo: JSON = Field(
        default_factory=dict,
        description="Settings of PPO: a preset and what differs from it.",
        json_schema_extra={"source": "IG C.4"},
    )
    rloo: JSON = Field(
        default_factory=dict,
        description="Settings of RLOO: a preset and what differs from it.",
        json_schema_extra={"source": "2402.14740"},
    )
    dpo: JSON = Field(
        default_factory=dict,
        description="Settings of DPO: a preset and what differs from it.",
        json_schema_extra={"source": "2305.18290"},
    )
    judge: UUID | None = Field(
        None,
        description="A reward model of this project (its id) that PPO or RLOO does not learn from but is watched by"
        " (judge_drop_limit); one trained on the same rankings is no judge. null: none.",
        json_schema_extra={"source": "2210.10760; ours: none"},
    )
    eval_prompts: int = Field(
        64,
        ge=0,
        le=10_000,
        description="Prompts on which candidate and current policy are compared; never trained on.",
        json_schema_extra={"unit": "prompts", "source": "ours: a rough mean at little cost"},
    )
    comparisons: int = Field(
        20,
        ge=0,
        le=10_000,
        description="Blind comparisons wanted from labelers during review.",
        json_schema_extra={"unit": "answers", "source": "ours: a rough mean at little cost"},
    )
    kl_budget: float | None = Field(
        20.0,
        gt=0,
        le=1e6,
        description="Farthest the candidate may be from the reference; PPO and RLOO end at the smaller of this and their own"
        " kl_budget. null: no limit.",
        json_schema_extra={"unit": "nats / response", "source": "2210.10760; ours: 20"},
    )
    min_reward_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The round stops when the reward model orders fewer validation pairs as people did; null: no limit.",
        json_schema_extra={"source": "ours: 0.5 is chance"},
    )
    min_heldout: int = Field(
        8,
        ge=0,
        le=10_000,
        description="Below this many prompts to measure on, the launch says so.",
        json_schema_extra={"unit": "prompts", "source": "ours: fewer tell nothing"},
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**62,
        description="Where all randomness of the round starts.",
        json_schema_extra={"source": "ours: any number serves"},
    )

    @field_validator(
        "demonstrations",
        "prompts",
        "k",
        "overlap",
        "eval_prompts",
        "comparisons",
        "min_heldout",
        "seed",
        mode="before",
    )
    @classmethod
    def _whole(cls, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{in_json(value)} is not a whole number; send one")
        return value

    @field_validator("kl_budget", "min_reward_accuracy", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{in_json(value)} is not a number; send one, or null for no limit")
        return value

    @field_validator("steps")
    @classmethod
    def _known_order(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [step for step in steps if step not in RECIPE_STEPS]:
            raise ValueError(f"unknown steps {unknown}; choose among {', '.join(RECIPE_STEPS)}")
        ordered = tuple(step for step in RECIPE_STEPS if step in steps)
        if not steps or steps != ordered:
            raise ValueError(f"name at least one step, each once, in this order: {', '.join(RECIPE_STEPS)}")
        for step, before in NEEDS.items():
            if step in steps and before and not set(before) & set(steps):
                raise ValueError(
                    f"{step} needs {' or '.join(before)} in the same round; add it, or leave {step} out"
                )
        return steps

    @field_validator("sampling")
    @classmethod
    def _sampling(cls, value: JSON) -> JSON:
        return SamplingParams.from_json(value).to_json()

    @model_validator(mode="after")
    def _stages(self) -> Self:
        for kind in TRAINED:
            try:
                self.config(kind)
            except ValueError as error:
                raise ValueError(f"{kind}: {error}") from error
        return self

    @classmethod
    def parse(cls, data: object) -> Self:
        """A recipe from parsed JSON. Raises BadRecipe naming each field, its range and what to do."""
        if not isinstance(data, Mapping):
            message = "recipe: send an object of settings."
            raise BadRecipe(message, errors=[FieldError("recipe", "not_an_object", message)])
        try:
            return cls(**{str(key): value for key, value in data.items()})
        except ValidationError as error:
            errors = [_explained(dict(one)) for one in error.errors(include_url=False) if one["loc"]]
            errors += cls._wrong_stages(data, {one.field.split(".")[1] for one in errors})
            raise BadRecipe(errors[0].message, errors=errors) from None

    @classmethod
    def _wrong_stages(cls, data: Mapping[Any, Any], wrong: set[str]) -> list[FieldError]:
        """What is wrong inside the stages, told also where fields of the recipe (`wrong`) are: those count as their defaults."""
        sound = {name: data[name] for name in cls.model_fields if name in data and name not in wrong}
        recipe, errors = cls.model_construct(**sound), []
        for kind in TRAINED:
            try:
                recipe.config(kind)
            except ValueError as error:
                if kind not in wrong:
                    errors.append(_within(kind, str(error), data.get(kind)))
        return errors

    def to_json(self) -> JSON:
        """Plain JSON; `parse(to_json())` gives an equal recipe."""
        return self.model_dump(mode="json")

    def config(self, kind: str) -> JSON:
        """The whole config of a stage (`sft`, `reward`, `ppo`, `rloo`, `dpo`): preset, then overrides. Raises ValueError."""
        chosen: JSON = dict(getattr(self, kind))
        name = chosen.pop("preset", "cpu-starter")
        if name not in PRESETS:
            raise ValueError(f"preset is {name!r}; choose one of {', '.join(PRESETS)}")
        config = {**PRESETS[name][kind], **chosen}
        if kind in POLICY_ALGORITHMS and "max_new_tokens" not in chosen:
            config["max_new_tokens"] = max(
                1, self.sampling["max_tokens"]
            )  # As long as the answers that were ranked.
        if self.kl_budget is not None and any(field.name == "kl_budget" for field in fields(CONFIGS[kind])):
            config["kl_budget"] = min(float(config.get("kl_budget") or self.kl_budget), self.kl_budget)
        found = config_from_json(kind, config).to_json()
        if found.get("pretrain_fraction"):
            raise ValueError(
                "pretrain_fraction mixes text in, and a project has none beside its demonstrations. Remedy: set it to 0, or "
                "run `python -m training.core sft` with inputs.pretraining"
            )
        return found

    @property
    def policy_config(self) -> JSON:
        """The whole config of the algorithm that trains this round's policy."""
        return self.config(self.policy_algorithm)

    def params(self, *, n_tokens: int | None = None) -> SamplingParams:
        """How completions are drawn; `n_tokens` caps their length."""
        data = dict(self.sampling)
        if n_tokens is not None:
            data["max_tokens"] = min(data["max_tokens"], n_tokens)
        return SamplingParams.from_json(data)

    def has(self, step: str) -> bool:
        """Whether this round goes through `step`."""
        return step in self.steps

    def after(self, state: str) -> str:
        """The state that follows `state` in this recipe; review comes last."""
        line = [str(RoundState.DRAFT), *map(str, STEPS)]
        later = line[line.index(state) + 1 :]
        return next(step for step in later if step in self.steps or step == RoundState.REVIEW)

    @classmethod
    def describe(cls) -> list[JSON]:
        """One row a field for the launch form: name, type, nullable, default, min, max, choices, unit, help, source."""
        return [_described(name, field) for name, field in cls.model_fields.items()]


TYPES: dict[Any, str] = {
    int: "int", float | None: "float", UUID | None: "str", JSON: "object", tuple[str, ...]: "list", PolicyAlgorithm: "str",
}  # fmt: skip
BEYOND = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
SETTINGS = {
    "sampling": {one.name for one in fields(SamplingParams)},
    **{kind: {one.name for one in fields(CONFIGS[kind])} for kind in TRAINED},
}
CHOICES = {"steps": list(RECIPE_STEPS), "policy_algorithm": list(POLICY_ALGORITHMS)}


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    low = next((float(m.ge) for m in field.metadata if isinstance(m, Ge)), None)  # type: ignore[arg-type]  # numbers here
    high = next((float(m.le) for m in field.metadata if isinstance(m, Le)), None)  # type: ignore[arg-type]  # numbers here
    return low, high


def _described(name: str, field: FieldInfo) -> JSON:
    low, high = _bounds(field)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = field.get_default(call_default_factory=True, validated_data={})
    return {
        "name": name,
        "type": TYPES[field.annotation],
        "nullable": field.annotation in (float | None, UUID | None),
        "default": list(default) if isinstance(default, tuple) else default,
        "min": low,
        "max": high,
        "choices": CHOICES.get(name),
        "unit": extra.get("unit", ""),
        "help": field.description or "",
        "source": extra.get("source", ""),
    }


def _explained(error: JSON) -> FieldError:
    """One sentence with the field, the range and the remedy."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(Recipe.model_fields)
        return FieldError(
            f"recipe.{name}", "unknown_field", f"recipe.{name} is unknown. Remove it; known are {known}."
        )
    if name == "sampling":
        return _within(name, _fault(error), error["input"])
    message = _fault(error).rstrip(".")
    field = Recipe.model_fields.get(name)
    low, high = _bounds(field) if field else (None, None)
    if low is not None or high is not None:
        message += f". Choose a value from {'above 0' if low is None else format(low, 'g')} to {high:g}"
    code = "empty" if error["input"] is None else "out_of_range" if low is not None else "invalid"
    return FieldError(f"recipe.{name}", code, f"recipe.{name}: {message}.")


def _within(part: str, fault: str, given: object) -> FieldError:
    """A mistake inside `sampling` or a stage, whose sentence begins with the setting: that one is the field."""
    setting = fault.partition(" ")[0].partition("=")[0]
    field = f"recipe.{part}.{setting}" if setting in SETTINGS[part] else f"recipe.{part}"
    # What a stage does not name, its preset does; sampling has no preset.
    value = given.get(setting, None if part == "sampling" else "preset") if isinstance(given, Mapping) else ""
    return FieldError(field, "empty" if value is None else "invalid", f"recipe.{part}: {fault.rstrip('.')}.")


def _fault(error: JSON) -> str:
    """What is wrong, without the bounds: these stand in the remedy."""
    if error["type"] in BEYOND:
        return f"{error['input']!r} is not allowed"
    if error["type"] == "dict_type":
        return "send an object of settings"
    return str(error["msg"]).removeprefix("Value error, ")
