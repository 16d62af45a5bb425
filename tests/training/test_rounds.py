"""Rounds: the reconciler's steps, and what people decide."""

import json
import re
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Event
from common.errors import KeyReused
from common.state_machine import IllegalMove
from inference.models import SamplingJob
from inference.selectors import current_policy
from labeling.models import Batch
from tests.training.factories import RoundFactory, answer_all, demonstrations, rankings_on
from tests.training.machines import Guide, failed, run_of, ticked
from training.models import Round, Run
from training.recipe import RECIPE_STEPS, Recipe
from training.selectors.rounds import round_body
from training.services import rounds
from training.services.reconcile import tick
from training.services.rounds import NothingToDecide, NotRetryable, RoundNotReady, RoundRunning, StepNotDone
from training.states import ENDED, ROUND_MOVES, RoundState

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = {
    "demonstrations": 2, "prompts": 4, "k": 2, "sampling": {"max_tokens": 8}, "eval_prompts": 4, "comparisons": 2,
    "sft": {"preset": "test"}, "reward": {"preset": "test"}, "ppo": {"preset": "test"},
}  # fmt: skip


@pytest.fixture
def opened(project, base, asked, eva):
    """`opened(automatic=True, k=3)` is a new round."""

    def make(*, automatic=False, **changes):
        return rounds.open_round(project=project, recipe={**SMALL, **changes}, automatic=automatic, actor=eva)

    return make


def test_every_reason_to_stop_has_a_chinese_sentence():
    root = Path(__file__).resolve().parents[2]
    sources = [path.read_text() for path in (root / "training/services/steps").glob("*.py")]
    codes = {code for text in sources for code in re.findall(r'StepFailed\(\s*"(\w+)"', text)}
    assert len(codes) > 10
    assert codes <= set(
        json.loads((root / "frontend/src/features/rounds/locales/reasons.zh-Hans.json").read_text())
    )


@pytest.fixture
def guide(project, weights, ana):
    return Guide(project, weights, ana)


def test_a_round_goes_through_every_step_by_itself_and_waits_for_a_person(opened, guide, base):
    round_ = guide.to(opened(automatic=True), "review")
    assert round_.state == "review", round_.reason
    moves = Event.objects.filter(kind="round.moved").order_by("id").values_list("data__to_state", flat=True)
    assert list(moves) == [*RECIPE_STEPS, "review"]
    assert (round_.sft.kind, round_.reward.kind, round_.candidate.kind) == ("sft", "reward", "policy")
    assert round_.opponent == base == current_policy(round_.project)
    assert round_.comparison_batch.kind == "comparison"


def test_step_by_step_it_waits_at_every_step(opened, guide):
    round_ = ticked(opened())
    assert (round_.state, round_.step_done) == ("demonstrating", False)
    guide.work(round_, {})
    round_ = ticked(round_)
    assert (round_.state, round_.step_done) == ("demonstrating", True)
    rounds.advance(round=round_, actor=None)
    round_ = ticked(round_)
    assert (round_.state, round_.step_done) == ("training_sft", False)


def test_what_each_run_starts_from(opened, guide, base):
    round_ = guide.to(opened(automatic=True), "review")
    sft, reward, ppo = (run_of(round_, kind) for kind in ("sft", "reward", "ppo"))
    assert sft.model == base
    assert (reward.model, reward.demonstrations.kind) == (round_.sft, "sft")
    assert reward.heldout_labelers is None  # Nobody is one, and no empty snapshot says so.
    assert (ppo.model, ppo.reference, ppo.reward) == (round_.sft, round_.sft, round_.reward)
    assert round_.sampling_job.version == round_.sft


def test_the_second_round_starts_from_the_promoted_policy(opened, guide, eva):
    first = guide.to(opened(automatic=True), "review")
    rounds.promote(round=first, actor=eva)
    assert current_policy(first.project) == first.candidate
    second = opened(
        automatic=True, steps=["sampling", "ranking", "training_reward", "training_policy", "evaluating"]
    )
    second = guide.to(second, "review")
    assert second.state == "review", second.reason
    assert (second.opponent, second.sft) == (first.candidate, first.sft)
    assert second.sampling_job.version == first.candidate
    reward, ppo = run_of(second, "reward"), run_of(second, "ppo")
    assert reward.model == first.sft
    assert (ppo.model, ppo.reference, ppo.reward) == (first.candidate, first.sft, second.reward)
    assert reward.snapshot.counts["total"] > run_of(first, "reward").snapshot.counts["total"]
    assert second.opponent_job.version == first.candidate
    drawn = [job.seed for round_ in (first, second) for job in (round_.sampling_job, round_.candidate_job)]
    learned = list(Run.objects.exclude(kind="score").values_list("seed", flat=True))
    assert len({*drawn, *learned}) == 4 + 5, "the same prompt would get the same answers in both rounds"
    assert second.candidate_job.seed == second.opponent_job.seed


def test_a_tick_at_any_time_and_twice_makes_nothing_twice(opened, guide):
    round_ = opened(automatic=True)
    for _ in range(30):
        for _ in range(3):
            tick(round_.pk)
        round_.refresh_from_db()
        if round_.state == "review":
            break
        guide.work(round_, {})
    assert round_.state == "review", round_.reason
    assert Run.objects.count() == 4
    assert SamplingJob.objects.count() == 3
    assert Batch.objects.exclude(kind="import").filter(title__startswith="Round 1").count() == 3


def test_whoever_comes_while_the_row_is_held_leaves(opened):
    round_ = opened()
    from threading import Thread

    from django.db import connection

    def other():
        tick(round_.pk)
        connection.close()

    with transaction.atomic():
        Round.objects.select_for_update().get(pk=round_.pk)
        thread = Thread(target=other)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()
    round_.refresh_from_db()
    assert round_.state == "draft"


def test_a_failed_run_stops_the_round_with_its_reason(opened, guide, eva):
    round_ = guide.to(opened(automatic=True), "training_reward")
    failed(run_of(round_, "reward"))
    round_ = ticked(round_)
    assert (round_.state, round_.failed_at_step) == ("failed", "training_reward")
    assert "The loss is nan." in round_.reason
    round_ = rounds.retry(round=round_, actor=eva)
    assert (round_.state, round_.reason) == ("training_reward", "")
    assert run_of(round_, "reward").state == "queued"
    assert Run.objects.filter(round=round_, kind="reward").count() == 1
    assert guide.to(round_, "review").state == "review"


def test_a_poor_reward_model_stops_the_round_and_a_retry_takes_another_seed(opened, guide, asked, ben, eva):
    guide.project.memberships.filter(user=ben).update(pool="heldout")
    rankings_on(guide.project, ben, [asked[12]])
    poor = {"reward": {"reward/valid_accuracy": 0.4}}
    round_ = guide.to(opened(automatic=True, min_reward_accuracy=0.6), "review", **poor)
    assert (round_.state, round_.failed_at_step, round_.reward) == ("failed", "training_reward", None)
    assert "40.0%" in round_.reason
    assert "min_reward_accuracy" in round_.reason
    first = run_of(round_, "reward")
    round_ = rounds.retry(round=round_, actor=eva)
    again = run_of(round_, "reward")
    assert (again.state, again.seed) == ("queued", first.seed + 1)
    assert (again.heldout_labelers.kind, again.heldout_labelers.counts["total"]) == ("measuring", 1)
    good = {"reward": {"reward/valid_accuracy": 0.7}}
    assert guide.to(round_, "review", **good).reward == run_of(round_, "reward").produced


def test_an_accuracy_that_could_not_be_measured_stops_nothing(opened, guide):
    assert guide.to(opened(automatic=True, min_reward_accuracy=0.9), "review").state == "review"


def test_too_far_from_the_reference_stops_the_round_and_keeps_the_numbers(opened, guide, eva):
    round_ = guide.to(opened(automatic=True, kl_budget=2.0), "review", kl=9.0)
    assert (round_.state, round_.failed_at_step) == ("failed", "training_policy")
    assert "9.00 nats" in round_.reason
    assert round_.evaluation.summary["kl_mean"] == 9.0
    assert round_.comparison_batch is None
    first = run_of(round_, "ppo")
    round_ = rounds.retry(round=round_, actor=eva)
    assert (round_.candidate, round_.candidate_job) == (None, None)
    assert run_of(round_, "ppo").seed == first.seed + 1
    round_ = guide.to(round_, "review", kl=1.0)
    assert round_.state == "review"
    assert round_.evaluation.summary["kl_mean"] == 1.0


def test_a_failed_sampling_job_stops_the_round_and_a_retry_asks_again(opened, guide, eva):
    round_ = guide.to(opened(automatic=True), "sampling")
    SamplingJob.objects.filter(pk=round_.sampling_job_id).update(
        state="failed", reason="The sampler died 3 times."
    )
    round_ = ticked(round_)
    assert round_.state == "failed"
    assert "The sampler died 3 times." in round_.reason
    before = round_.sampling_job_id
    round_ = ticked(rounds.retry(round=round_, actor=eva))
    assert round_.state == "sampling"
    assert round_.sampling_job_id != before


def test_nothing_to_learn_from_stops_the_round(opened, project, asked, ana):
    demonstrations(project, ana, [one for one in asked if one.split == "valid"])
    round_ = ticked(opened(automatic=True, steps=["training_sft", "evaluating"]))
    assert (round_.state, round_.failed_at_step) == ("failed", "training_sft")
    assert "Collect some" in round_.reason


def test_the_evaluation_is_a_fair_comparison(opened, guide):
    round_ = guide.to(opened(automatic=True), "review")
    keys = [
        set(job.requests.values_list("key", flat=True)) for job in (round_.candidate_job, round_.opponent_job)
    ]
    assert keys[0] == keys[1]
    assert round_.candidate_job.params == round_.opponent_job.params
    splits = set(round_.project.prompts.filter(digest__in=keys[0]).values_list("split", flat=True))
    assert "train" not in splits
    summary = round_.evaluation.summary
    assert summary["reward_mean"] == {"candidate": 1.0, "current": 0.0}
    assert (summary["kl_mean"], summary["kl_budget"], summary["reward_win_rate"]) == (1.5, 20.0, 1.0)
    assert summary["length_mean"] == {"candidate": 3.0, "current": 3.0}


def test_training_prompts_only_are_sampled_for_people_and_some_to_choose_on(opened, guide):
    round_ = guide.to(opened(automatic=True, prompts=10), "ranking")
    keys = round_.sampling_job.requests.values_list("key", flat=True)
    splits = sorted(round_.project.prompts.filter(digest__in=keys).values_list("split", flat=True))
    assert splits == ["train"] * 9 + ["valid"]


def test_promote_swaps_the_policy_once(opened, guide, base, eva):
    round_ = guide.to(opened(automatic=True), "review")
    for _ in range(2):
        assert rounds.promote(round=round_, actor=eva, note="better").state == "promoted"
    base.refresh_from_db()
    assert (current_policy(base.project), base.stage) == (round_.candidate, "retired")
    assert Event.objects.filter(kind="round.promoted").count() == 1
    assert Batch.objects.get(pk=round_.comparison_batch_id).state == "frozen"
    with pytest.raises(NothingToDecide):
        rounds.drop(round=round_, actor=eva)


def test_drop_keeps_the_policy(opened, guide, base, eva):
    round_ = guide.to(opened(automatic=True), "review")
    assert rounds.drop(round=round_, actor=eva).state == "dropped"
    round_.candidate.refresh_from_db()
    assert (current_policy(base.project), round_.candidate.stage) == (base, "dropped")


def test_nothing_can_be_promoted_before_review(opened, eva):
    for decide in (rounds.promote, rounds.drop):
        with pytest.raises(NothingToDecide):
            decide(round=opened() if not Round.objects.exists() else Round.objects.get(), actor=eva)


def test_cancel_stops_all_that_was_asked_for(opened, guide, eva):
    round_ = guide.to(opened(automatic=True), "training_reward")
    assert rounds.cancel(round=round_, actor=eva, note="enough").state == "cancelled"
    assert run_of(round_, "reward").state == "cancelled"
    assert rounds.cancel(round=round_, actor=eva).state == "cancelled"
    tick(round_.pk)
    assert Round.objects.get().state == "cancelled"
    steps = {step["step"]: step["state"] for step in round_body(Round.objects.get())["steps"]}
    assert (steps["ranking"], steps["training_reward"], steps["training_policy"]) == (
        "done",
        "cancelled",  # it was reached: its curves stand beside it
        "skipped",
    )


def test_cancel_takes_tasks_and_jobs_back(opened, guide, eva):
    round_ = ticked(opened())
    rounds.cancel(round=round_, actor=eva)
    assert Batch.objects.get(pk=round_.demonstration_batch_id).state == "cancelled"
    round_ = guide.to(opened(automatic=True), "sampling")
    rounds.cancel(round=round_, actor=eva)
    assert SamplingJob.objects.get(pk=round_.sampling_job_id).state == "cancelled"


def test_an_admin_may_go_on_early_with_some_answers_but_not_with_none(opened, project, ana, eva):
    round_ = ticked(opened())
    with pytest.raises(StepNotDone):
        rounds.advance(round=round_, actor=eva)
    answer_all(project, ana, at_most=1)
    assert rounds.advance(round=round_, actor=eva).state == "training_sft"
    assert Batch.objects.get(pk=round_.demonstration_batch_id).state == "frozen"
    with pytest.raises(StepNotDone):
        rounds.advance(round=round_, actor=eva)


def test_one_live_round_a_project(opened):
    first = opened()
    with pytest.raises(RoundRunning) as caught:
        opened()
    assert caught.value.extra == {"round": str(first.pk), "number": 1}


def test_two_live_rounds_cannot_be_stored(project):
    RoundFactory(project=project)
    with pytest.raises(IntegrityError, match="one_live_round_per_project"), transaction.atomic():
        RoundFactory(project=project)


def test_the_same_key_is_the_same_round(project, base, asked, eva):
    same = {"project": project, "recipe": SMALL, "actor": eva, "idempotency_key": "key-12345"}
    first = rounds.open_round(**same, body_sha256="a" * 64)
    assert rounds.open_round(**same, body_sha256="a" * 64) == first
    with pytest.raises(KeyReused):
        rounds.open_round(**same, body_sha256="b" * 64)


def test_a_round_that_cannot_go_anywhere_is_not_opened(project, base, eva):
    with pytest.raises(RoundNotReady) as caught:
        rounds.open_round(project=project, recipe=SMALL, actor=eva)
    assert [one["code"] for one in caught.value.extra["missing"]] == ["no_prompts"]
    assert not Round.objects.exists()


def test_without_prompts_to_measure_on_the_version_is_marked(project, base, guide, eva):
    from tests.training.factories import prompts

    prompts(project, train=8)
    round_ = rounds.open_round(project=project, recipe=SMALL, automatic=True, actor=eva)
    round_ = guide.to(round_, "review")
    assert round_.state == "review", round_.reason
    assert round_.evaluation.summary["not_measured"]
    assert round_.evaluation.summary["reward_mean"] == {"candidate": None, "current": None}


def test_only_a_failed_round_can_be_retried(opened, eva):
    with pytest.raises(NotRetryable):
        rounds.retry(round=opened(), actor=eva)


def test_a_retry_waits_while_another_round_is_live(opened, guide, eva):
    round_ = guide.to(opened(automatic=True), "training_sft")
    failed(run_of(round_, "sft"))
    round_ = ticked(round_)
    opened()
    with pytest.raises(RoundRunning):
        rounds.retry(round=round_, actor=eva)


def test_a_shorter_recipe_goes_only_through_its_steps(opened, guide, project, asked, ana):
    demonstrations(project, ana, asked[:6])
    round_ = guide.to(opened(automatic=True, steps=["training_sft", "evaluating"]), "review")
    assert round_.state == "review", round_.reason
    assert round_.candidate == round_.sft
    assert round_.reward is None
    assert round_.evaluation.summary["reward_mean"] == {"candidate": None, "current": None}


def test_an_end_is_an_end_but_for_failed():
    for state in set(ENDED) - {RoundState.FAILED}:
        assert state not in ROUND_MOVES
    assert set(RECIPE_STEPS) < ROUND_MOVES[RoundState.FAILED]


def test_a_promoted_round_cannot_be_cancelled(opened, guide, eva):
    round_ = guide.to(opened(automatic=True), "review")
    rounds.promote(round=round_, actor=eva)
    with pytest.raises(IllegalMove):
        rounds.cancel(round=round_, actor=eva)


def test_the_recipe_is_stored_whole(opened):
    assert Recipe.parse(opened().recipe).k == 2


def test_sft_that_is_chosen_by_reward_gets_the_reward_model_of_an_earlier_round(opened, guide):
    by_reward = {"sft": {"preset": "test", "select": "reward", "reward_tokens": 8}}
    with pytest.raises(RoundNotReady, match="select is reward") as caught:
        opened(**by_reward)
    assert [gap["code"] for gap in caught.value.extra["missing"]] == ["no_reward_model"]
    first = guide.to(opened(), "review")
    rounds.drop(round=first, actor=None)
    second = ticked(guide.to(opened(**by_reward), "training_sft"))
    run = run_of(second, "sft")
    assert (run.reward, run.model) == (first.reward, first.opponent)
    assert run_of(first, "sft").reward is None
