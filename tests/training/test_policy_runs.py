"""Runs that train: taken over by their round; PPO or RLOO, with demonstrations mixed in; what they publish beside the candidate."""

import json

import pytest
from django.db import IntegrityError, connection, transaction

from common.storage import FolderStore
from inference.models import ModelVersion
from tests.training.factories import demonstrations
from tests.training.machines import Guide, run_of, ticked, trained
from tests.training.test_rounds import SMALL
from tests.training.test_runs import other
from training import runner
from training.api.serializers import RunRefOut
from training.models import Run
from training.places import attempt_folder
from training.recipe import BadRecipe, Recipe
from training.selectors.lineage import between_versions, made_by, round_numbers
from training.selectors.rounds import round_body
from training.services import rounds
from training.services.attempts import Outcome, Published, claim_run, finish_run
from training.services.runs import queue_run
from training.services.snapshots import freeze
from training.services.steps import STEPS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def opened(project, base, asked, eva):
    """`opened(policy_algorithm="rloo")` is a new round that goes on by itself."""

    def make(**changes):
        recipe = {**SMALL, "rloo": {"preset": "test"}, **changes}
        return rounds.open_round(project=project, recipe=recipe, automatic=True, actor=eva)

    return make


@pytest.fixture
def guide(project, weights, ana):
    return Guide(project, weights, ana)


@pytest.mark.parametrize(
    ("state", "kind", "field"),
    [
        ("training_sft", "sft", "sft"),
        ("training_reward", "reward", "reward"),
        ("training_policy", "ppo", "candidate"),
    ],
)
def test_a_run_that_succeeds_while_the_reconciler_looks_is_taken_over_by_the_next_look(
    opened, guide, weights, state, kind, field
):
    """The worker's commit may come between what a step starts and whether it is done."""
    round_ = ticked(guide.to(opened(), state))
    step = STEPS[state]
    step.start(round_, None)
    made = trained(run_of(round_, kind), weights).produced
    assert not step.is_done(round_)
    round_ = ticked(round_)
    assert round_.state != state
    assert getattr(round_, field) == made


def test_a_round_may_train_its_policy_by_rloo(opened, guide):
    round_ = guide.to(opened(policy_algorithm="rloo"), "review")
    assert round_.state == "review", round_.reason
    run = run_of(round_, "rloo")
    assert (run.model, run.reference, run.reward) == (round_.sft, round_.sft, round_.reward)
    assert (run.config["samples_per_prompt"], run.config["kl_budget"]) == (4, 20.0)
    assert round_.candidate == run.produced
    assert not Run.objects.filter(kind="ppo").exists()
    steps = {step["step"]: step["run"] for step in round_body(round_)["steps"]}
    assert steps["training_policy"] == run


def test_a_round_names_a_judge_for_its_policy_run(opened, guide, project, base):
    judge = _reward(project, base)
    for wrong in ({"judge": str(base.pk)}, {"ppo": {"preset": "test", "judge_drop_limit": 0.1}}):
        with pytest.raises(rounds.RoundNotReady, match="judge") as caught:
            opened(**wrong)
        assert [gap["code"] for gap in caught.value.extra["missing"]] == ["no_judge"]
    round_ = guide.to(opened(judge=str(judge.pk), ppo={"preset": "test", "judge_drop_limit": 0.1}), "review")
    assert round_.state == "review", round_.reason
    run = run_of(round_, "ppo")
    assert run.judge == judge != run.reward
    assert judge in [link.parent for link in run.produced.parent_links.filter(role="judge")]
    edges = between_versions([run.produced.pk])["edges"]
    assert {"from": str(judge.pk), "to": str(run.pk), "role": "judge"} in edges


def test_the_kl_budget_holds_for_rloo_too(opened, guide):
    round_ = guide.to(opened(policy_algorithm="rloo", kl_budget=5), "review", rloo={"rloo/final_kl": 5.5})
    assert (round_.state, round_.failed_at_step) == ("failed", "training_policy")
    assert "5.50 nats per response" in round_.reason
    assert round_body(round_)["reason_code"] == "kl_budget_exceeded"
    first = run_of(round_, "rloo")
    round_ = rounds.retry(round=round_, actor=None)
    assert (round_.reason, round_.reason_code) == ("", "")
    ticked(round_)
    assert run_of(round_, "rloo").seed == first.seed + 1


def test_a_round_may_train_its_policy_by_dpo_from_the_rankings(opened, guide):
    round_ = guide.to(opened(policy_algorithm="dpo", dpo={"preset": "test", "beta": 0.2}), "review")
    assert round_.state == "review", round_.reason
    run = run_of(round_, "dpo")
    assert (run.model, run.reference, run.reward) == (round_.sft, round_.sft, None)
    assert run.snapshot.kind == "rankings"
    assert run.config["beta"] == 0.2
    assert (round_.candidate, round_.candidate.kind) == (run.produced, "policy")
    assert round_.reward is not None  # which measures the candidate
    steps = {step["step"]: step["run"] for step in round_body(round_)["steps"]}
    assert steps["training_policy"] == run


def test_the_kl_budget_holds_for_dpo_when_it_has_ended(opened, guide):
    changes = {"policy_algorithm": "dpo", "dpo": {"preset": "test"}, "kl_budget": 5}
    round_ = guide.to(opened(**changes), "review", dpo={"dpo/kl": 6.25})
    assert (round_.state, round_.failed_at_step) == ("failed", "training_policy")
    assert "6.25 nats per response" in round_.reason


def test_demonstrations_are_mixed_in_where_the_recipe_asks_for_it(opened, guide):
    round_ = guide.to(opened(ppo={"preset": "test", "ptx_coef": 1.0}), "review")
    assert run_of(round_, "ppo").demonstrations.kind == "sft"
    assert run_of(guide.to(round_, "review"), "sft").demonstrations is None


def test_without_demonstrations_there_is_nothing_to_mix_in(opened, guide):
    steps = ["sampling", "ranking", "training_reward", "training_policy"]
    round_ = guide.to(opened(steps=steps, ppo={"preset": "test", "ptx_coef": 1.0}), "review")
    assert (round_.state, round_.failed_at_step) == ("failed", "training_policy")
    assert "ptx_coef" in round_.reason


@pytest.mark.parametrize("name", ["dance", "PPO", None, 3])
def test_only_known_algorithms(name):
    with pytest.raises(BadRecipe) as caught:
        Recipe.parse({"policy_algorithm": name})
    assert caught.value.errors[0].field == "recipe.policy_algorithm"
    assert "'ppo', 'rloo' or 'dpo'" in caught.value.errors[0].message


def test_rloo_settings_are_checked_with_the_rest():
    with pytest.raises(BadRecipe, match="samples_per_prompt"):
        Recipe.parse({"rloo": {"episodes": 10}})
    recipe = Recipe.parse({"policy_algorithm": "rloo", "sampling": {"max_tokens": 33}, "kl_budget": 5})
    assert (recipe.policy_config["max_new_tokens"], recipe.policy_config["kl_budget"]) == (33, 5.0)
    (field,) = [row for row in Recipe.describe() if row["name"] == "policy_algorithm"]
    assert (field["type"], field["choices"], field["default"]) == ("str", ["ppo", "rloo", "dpo"], "ppo")


# --- one version per role -------------------------------------------------------------------------------------------


@pytest.fixture
def averaged(project, base, asked, weights):
    """A queued PPO run, and what it would leave behind: a moving average and the policy itself."""
    config = Recipe.parse({"ppo": {"preset": "test", "ema_decay": 0.9}}).config("ppo")
    run = queue_run(
        project=project,
        kind="ppo",
        config=config,
        model=base,
        snapshot=freeze(project=project, kind="prompts"),
    )
    outcome = Outcome(
        result={"kind": "ppo", "metrics": {"ppo/final_kl": 1.0}},
        model=other(weights, "ema"),
        raw=Published(folder=other(weights, "policy"), metrics={"ppo/final_kl": 2.0}),
    )
    return run, outcome


def test_the_average_is_the_candidate_and_the_policy_stands_beside_it(averaged, base):
    run, outcome = averaged
    claim_run(run.pk)
    run = finish_run(run_id=run.pk, fence=1, outcome=outcome)
    name = f"random-policy-{str(run.pk)[:8]}"
    assert (run.produced.name, run.produced_raw.name) == (name, f"{name}-raw")
    assert [version.metrics["ppo/final_kl"] for version in (run.produced, run.produced_raw)] == [1.0, 2.0]
    for version in (run.produced, run.produced_raw):
        assert (version.kind, [link.parent for link in version.parent_links.all()]) == ("policy", [base])
        assert made_by([version.pk]) == {version.pk: str(run.pk)}
        assert round_numbers([version.pk]) == {}
    roles = {edge["role"] for edge in between_versions([run.produced.pk, run.produced_raw.pk])["edges"]}
    assert {"produced", "produced_raw"} <= roles
    alone = between_versions([run.produced_raw.pk])["edges"]
    assert [edge["to"] for edge in alone if edge["from"] == str(run.pk)] == [str(run.produced_raw.pk)]


def test_nothing_is_copied_while_the_end_of_a_run_is_written(averaged, monkeypatch):
    """Both roles have gigabytes; a transaction that is idle meanwhile is killed."""
    run, outcome = averaged
    claim_run(run.pk)
    copied, put = [], FolderStore.put_folder

    def watched(store, source):
        copied.append((source, connection.in_atomic_block))
        return put(store, source)

    monkeypatch.setattr(FolderStore, "put_folder", watched)
    finish_run(run_id=run.pk, fence=1, outcome=outcome)
    assert copied == [(outcome.model, False), (outcome.raw.folder, False)]


def test_why_a_run_ended_early_is_told_with_it_and_with_its_round(averaged):
    run, outcome = averaged
    assert RunRefOut(run).data["stopped"] == ""
    claim_run(run.pk)
    told = {**outcome.result, "stopped": "entropy_floor"}
    run = finish_run(run_id=run.pk, fence=1, outcome=Outcome(result=told, model=outcome.model))
    assert (run.stopped, run.produced_raw) == ("entropy_floor", None)
    assert RunRefOut(run).data["stopped"] == "entropy_floor"


def test_a_name_that_is_taken_by_one_of_the_two_moves_both(averaged, project, weights):
    from inference.services import register_version

    run, outcome = averaged
    name = f"random-policy-{str(run.pk)[:8]}"
    taken = register_version(project=project, kind="base", folder=other(weights, "taken"), name=f"{name}-raw")
    claim_run(run.pk)
    run = finish_run(run_id=run.pk, fence=1, outcome=outcome)
    assert (run.produced.name, run.produced_raw.name) == (f"{name}-2", f"{name}-2-raw")
    assert set(ModelVersion.objects.filter(name__startswith=name)) == {taken, run.produced, run.produced_raw}


def test_a_raw_policy_without_its_average_is_refused_by_the_database(averaged, base):
    run, _ = averaged
    with pytest.raises(IntegrityError, match="raw_policy_stands_beside_its_average"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(produced_raw=base)
    with pytest.raises(IntegrityError, match="raw_policy_stands_beside_its_average"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(produced=base, produced_raw=base)


def test_a_real_run_publishes_both_roles_and_reads_the_demonstrations(averaged, project, asked, ana, base):
    """A child process of RLOO with a moving average and demonstrations mixed in."""
    demonstrations(project, ana, asked)
    queued, _ = averaged
    config = Recipe.parse({"rloo": {"preset": "test", "ema_decay": 0.9, "ptx_coef": 1.0}}).config("rloo")
    reward = _reward(project, base)
    run = queue_run(
        project=project, kind="rloo", config=config, model=base, reward=reward, judge=reward, snapshot=queued.snapshot,
        demonstrations=freeze(project=project, kind="sft"),
    )  # fmt: skip
    runner.execute(run.pk)
    run = Run.objects.get(pk=run.pk)
    assert (run.state, run.error) == ("succeeded", {})
    assert (run.result["role"], run.stopped) == ("ema", "")
    assert run.produced.digest != run.produced_raw.digest
    folder = attempt_folder(run.pk, 1)
    assert "pretraining" in json.loads((folder / "run.json").read_text())["inputs"]
    assert run.result["metrics"]["rloo/ptx_loss"] > 0
    assert run.result["metrics"]["rloo/final_judge"] == run.result["metrics"]["rloo/final_score"]


def _reward(project, base):
    import tempfile
    from pathlib import Path

    from common.storage import default_store
    from inference.engine.models import ScalarModel, load_tokenizer, save_scalar
    from inference.services import register_version

    folder = Path(tempfile.mkdtemp()) / "reward"
    source = default_store().open(base.digest)
    save_scalar(ScalarModel.from_policy(source), load_tokenizer(source), folder)
    return register_version(project=project, kind="reward", folder=folder, name="rewarding")
