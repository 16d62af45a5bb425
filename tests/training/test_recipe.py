"""A recipe checks itself: ranges, order of steps, settings of every stage."""

import pytest

from training.recipe import RECIPE_STEPS, BadRecipe, Recipe
from training.states import RoundState

WRONG = [
    ({"k": 1}, "recipe.k", "from 2 to 9"),
    ({"k": 10}, "recipe.k", "from 2 to 9"),
    ({"k": True}, "recipe.k", "whole number"),
    ({"k": "4"}, "recipe.k", "whole number"),
    ({"kl_budget": -1}, "recipe.kl_budget", "above 0"),
    ({"min_reward_accuracy": 1.5}, "recipe.min_reward_accuracy", "from 0 to 1"),
    ({"steps": []}, "recipe.steps", "at least one step"),
    ({"steps": ["sampling", "demonstrating"]}, "recipe.steps", "in this order"),
    ({"steps": ["ranking"]}, "recipe.steps", "ranking needs sampling"),
    ({"steps": ["training_policy"]}, "recipe.steps", "training_policy needs training_reward"),
    ({"steps": ["dancing"]}, "recipe.steps", "unknown steps"),
    ({"sampling": {}}, "recipe.sampling.max_tokens", "max_tokens is missing"),
    ({"sampling": {"max_tokens": 8, "temperature": 9}}, "recipe.sampling.temperature", "from 0 to 2"),
    ({"ppo": {"lr": 9}}, "recipe.ppo.lr", "from 0.0 to 1.0"),
    ({"sft": {"preset": "huge"}}, "recipe.sft", "cpu-starter"),
    ({"reward": {"learning_rate": 1}}, "recipe.reward", "unknown settings"),
    ({"colour": 1}, "recipe.colour", "Remove it"),
]


@pytest.mark.parametrize(("data", "field", "says"), WRONG)
def test_what_is_wrong_is_named_with_range_and_remedy(data, field, says):
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(data)
    error = caught.value.errors[0]
    assert error.field == field
    assert says in error.message


def test_no_field_is_named_twice_in_a_sentence():
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse({"sft": {"preset": "huge"}})
    assert caught.value.errors[0].message.startswith("recipe.sft: preset is 'huge'")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"prompts": 10**9}, "recipe.prompts: 1000000000 is not allowed. Choose a value from 1 to 100000."),
        ({"kl_budget": 0}, "recipe.kl_budget: 0 is not allowed. Choose a value from above 0 to 1e+06."),
        (
            {"ppo": {"lr": 9}},
            "recipe.ppo: lr is 9.0, which is not allowed. Remedy: choose a value from 0.0 to 1.0.",
        ),
        ({"sft": 3}, "recipe.sft: send an object of settings."),
    ],
)
def test_a_range_is_told_once(data, sentence):
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse(data)
    assert caught.value.errors[0].message == sentence


def test_several_wrong_fields_are_named_at_once():
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse({"k": 1, "overlap": 0, "colour": 1})
    assert {error.field for error in caught.value.errors} == {"recipe.k", "recipe.overlap", "recipe.colour"}


def test_mistakes_inside_stages_are_named_with_the_others():
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse({"prompts": None, "sampling": {}, "ppo": {"lr": 9, "clip": 1}, "sft": {"epochs": None}})
    told = {error.field: (error.code, error.message) for error in caught.value.errors}
    assert set(told) == {"recipe.prompts", "recipe.sampling.max_tokens", "recipe.ppo.lr", "recipe.sft.epochs"}
    assert {code for code, _ in told.values()} == {"empty", "invalid"}
    assert [field for field, (code, _) in told.items() if code == "invalid"] == ["recipe.ppo.lr"]
    assert told["recipe.prompts"][1].startswith("recipe.prompts: null is not a whole number; send one.")
    assert not any("None" in message for _, message in told.values())


@pytest.mark.parametrize("data", [None, [], "sampling", 3])
def test_only_an_object_is_a_recipe(data):
    with pytest.raises(BadRecipe):
        Recipe.parse(data)


def test_it_survives_json():
    recipe = Recipe.parse({"k": 9, "sampling": {"max_tokens": 12, "stop": ["\n"]}, "sft": {"epochs": 2}})
    assert Recipe.parse(recipe.to_json()) == recipe


def test_overrides_stand_above_the_preset():
    recipe = Recipe.parse({"sft": {"preset": "test", "epochs": 7}})
    config = recipe.config("sft")
    assert (config["epochs"], config["batch_size"]) == (7, 4)


def test_ppo_answers_are_as_long_as_the_ranked_ones_and_within_the_budget():
    recipe = Recipe.parse({"sampling": {"max_tokens": 33}, "kl_budget": 5})
    assert recipe.config("ppo")["max_new_tokens"] == 33
    assert recipe.config("ppo")["kl_budget"] == 5.0
    assert Recipe.parse({"ppo": {"max_new_tokens": 9}}).config("ppo")["max_new_tokens"] == 9
    assert (
        Recipe.parse({"kl_budget": None, "ppo": {"preset": "instructgpt"}}).config("ppo")["kl_budget"] is None
    )


def test_the_next_step_is_the_next_one_of_the_recipe():
    short = Recipe.parse({"steps": ["sampling", "ranking", "training_reward"]})
    assert short.after(RoundState.DRAFT) == "sampling"
    assert short.after("ranking") == "training_reward"
    assert short.after("training_reward") == "review"
    assert [Recipe.parse({}).after(step) for step in RECIPE_STEPS][-1] == "review"


def test_every_field_is_described_for_the_form():
    described = {row["name"]: row for row in Recipe.describe()}
    assert set(described) == set(Recipe.model_fields)
    assert all(row["help"].endswith(".") and row["source"] for row in described.values())
    assert (described["k"]["min"], described["k"]["max"], described["k"]["default"]) == (2, 9, 4)
