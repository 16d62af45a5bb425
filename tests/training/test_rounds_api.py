"""REST of rounds."""

import re

import pytest
from django.utils.dateparse import parse_datetime
from django.utils.timezone import now

from accounts.services import create_token
from inference.selectors import current_policy
from labeling.models import Assignment, Demonstration, Slot
from labeling.services.assignment import next_assignment
from tests.training.factories import answer_all, prompts
from tests.training.machines import run_of, sampled, scored, ticked, trained
from training.models import Round
from training.recipe import RECIPE_STEPS
from training.services.simulate import simulate_round

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = {
    "demonstrations": 2, "prompts": 4, "k": 2, "sampling": {"max_tokens": 8}, "eval_prompts": 4, "comparisons": 2,
    "sft": {"preset": "test"}, "reward": {"preset": "test"}, "ppo": {"preset": "test"},
}  # fmt: skip


@pytest.fixture
def admin(client_of, eva, base, asked):
    return client_of(eva)


@pytest.fixture
def url(project):
    return f"/api/v1/projects/{project.pk}/rounds/"


@pytest.fixture
def opened(admin, url):
    answer = admin.post(url, {"recipe": SMALL})
    assert answer.status_code == 201, answer.json()
    return answer.json()


@pytest.fixture
def reviewed(opened, project, weights, ana):
    """The round in review, with everything measured."""
    Round.objects.update(is_automatic=True)
    round_ = Round.objects.get()
    while (round_ := ticked(round_)).state != "review":
        answer_all(project, ana)
        for job in (round_.sampling_job, round_.candidate_job, round_.opponent_job):
            if job is not None and job.state == "queued":
                sampled(job)
        for run in round_.runs.filter(state="queued"):
            scored(run) if run.kind == "score" else trained(run, weights)
        assert round_.state != "failed", round_.reason
    return round_


def at(round_id, what=""):
    return f"/api/v1/rounds/{round_id}/{what}"


def test_open_and_look(admin, url, opened):
    assert (opened["number"], opened["state"], opened["automatic"]) == (1, "draft", False)
    assert opened["waiting_for"] == "starting"
    assert [step["step"] for step in opened["steps"]] == [*RECIPE_STEPS, "review"]
    assert {step["state"] for step in opened["steps"]} == {"waiting"}
    assert opened["opponent"]["name"] == "random"
    assert (opened["evaluation"], opened["actions"]) == (None, ["cancel"])
    assert admin.get(at(opened["id"])).json() == opened
    assert admin.get(url).json() == [opened]


def test_without_a_recipe_the_defaults_are_taken(admin, url, project):
    answer = admin.post(url, {})
    assert answer.status_code == 201
    defaults = admin.get(f"/api/v1/projects/{project.pk}/recipes/defaults/").json()["recipe"]
    assert answer.json()["recipe"] == defaults


def test_a_second_one_is_refused(admin, url, opened):
    answer = admin.post(url, {"recipe": SMALL})
    assert (answer.status_code, answer.json()["code"]) == (409, "round_running")
    assert answer.json()["extra"]["round"] == opened["id"]


def test_the_same_key_gives_the_same_round(admin, url):
    headers = {"Idempotency-Key": "launch-0001"}
    first = admin.post(url, {"recipe": SMALL}, headers=headers)
    again = admin.post(url, {"recipe": SMALL}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    other = admin.post(url, {"recipe": {**SMALL, "k": 3}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Round.objects.count() == 1


def test_a_wrong_recipe_names_the_field(admin, url):
    answer = admin.post(url, {"recipe": {"k": 12}})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_recipe")
    assert answer.json()["errors"][0]["field"] == "recipe.k"


def test_an_unknown_field_is_refused(admin, url):
    assert admin.post(url, {"recipe": SMALL, "colour": 1}).status_code == 400


def test_who_may_not(client_of, url, opened, ana, ria, zoe, rex):
    for user, look, change in (
        (None, 401, 401),
        (ana, 403, 403),
        (ria, 200, 403),
        (zoe, 404, 404),
        (rex, 404, 404),
    ):
        client = client_of(user)
        assert client.get(at(opened["id"])).status_code == look
        assert client.get(at(opened["id"], "pairs/")).status_code == look
        assert client.get(url).status_code == look
        assert client.post(url, {"recipe": SMALL}).status_code == change
        for what in ("advance/", "cancel/", "promote/", "drop/", "retry/", "simulate/"):
            assert client.post(at(opened["id"], what), {}).status_code == change
        assert client.patch(at(opened["id"]), {"automatic": True}).status_code == change
    assert Round.objects.get().state == "draft"


def test_a_token_needs_its_scope(client_of, eva, opened):
    def status(scopes, what):
        client = client_of(None)
        _, secret = create_token(user=eva, name="script", scopes=scopes)
        return client.post(
            at(opened["id"], what), {}, headers={"Authorization": f"Bearer {secret}"}
        ).status_code

    assert status(["read"], "cancel/") == 403
    assert status(["runs:launch"], "promote/") == 403
    assert status(["models:promote"], "promote/") == 409
    assert status(["runs:launch"], "cancel/") == 200


def test_automatic_can_be_switched(admin, opened):
    assert admin.patch(at(opened["id"]), {"automatic": True}).json()["automatic"] is True
    assert admin.patch(at(opened["id"]), {"state": "promoted"}).status_code == 400


def test_each_step_shows_how_far_it_is(admin, opened, project, ana):
    round_ = ticked(Round.objects.get())
    answer_all(project, ana, at_most=1)
    body = admin.get(at(opened["id"])).json()
    step = body["steps"][0]
    assert (step["state"], step["done"], step["wanted"], step["unit"]) == ("active", 1, 2, "answers")
    assert step["batch"] == {"id": str(round_.demonstration_batch_id), "kind": "demonstration"}
    assert body["waiting_for"] == "demonstrations"
    assert body["actions"] == ["advance", "cancel"]
    answer_all(project, ana, at_most=1)
    ticked(round_)
    body = admin.get(at(opened["id"])).json()
    assert (body["step_done"], body["waiting_for"]) == (True, "confirmation")
    body = admin.post(at(opened["id"], "advance/"), {"note": "enough"}).json()
    assert (body["state"], body["steps"][0]["state"], body["steps"][0]["done"]) == ("training_sft", "done", 2)
    ticked(round_)
    body = admin.get(at(opened["id"])).json()
    assert body["steps"][1]["run"]["id"] == str(run_of(round_, "sft").pk)
    assert body["waiting_for"] == "run"


def test_too_early_and_too_late(admin, opened):
    for what, code in (
        ("advance/", "step_not_done"),
        ("promote/", "nothing_to_decide"),
        ("retry/", "round_not_failed"),
    ):
        answer = admin.post(at(opened["id"], what), {})
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert admin.post(at(opened["id"], "cancel/"), {}).json()["state"] == "cancelled"
    assert admin.post(at(opened["id"], "cancel/"), {}).status_code == 200
    assert admin.post(at(opened["id"], "advance/"), {}).status_code == 409


def test_review_shows_the_measurements_and_the_pairs(admin, reviewed, project, ana):
    body = admin.get(at(reviewed.pk)).json()
    evaluation = body["evaluation"]
    assert evaluation["reward_mean"] == {"candidate": 1.0, "current": 0.0}
    assert evaluation["kl_mean"] == 1.5
    assert evaluation["comparisons"] == {"candidate_wins": 0, "current_wins": 0, "ties": 0, "wanted": 2}
    assert body["actions"] == ["cancel", "promote", "drop"]
    pairs = admin.get(at(reviewed.pk, "pairs/")).json()
    assert len(pairs) == 4
    assert set(pairs[0]) == {"prompt", "candidate", "current", "kl"}
    assert (pairs[0]["candidate"]["reward"], pairs[0]["current"]["reward"], pairs[0]["kl"]) == (1.0, 0.0, 1.5)


def test_comparisons_are_counted_for_the_right_side(admin, reviewed, project, ana):
    answer_all(project, ana, order=lambda found: better_first(found, reviewed.candidate.name))
    ticked(reviewed)
    body = admin.get(at(reviewed.pk)).json()
    assert body["evaluation"]["comparisons"] == {
        "candidate_wins": 2,
        "current_wins": 0,
        "ties": 0,
        "wanted": 2,
    }
    assert body["waiting_for"] == "decision"


def better_first(found, name):
    return [[one["id"]] for one in sorted(found["candidates"], key=lambda one: name not in one["text"])]


def test_promotion_is_told_everywhere(admin, reviewed, project):
    body = admin.post(at(reviewed.pk, "promote/"), {"note": "better"}).json()
    assert (body["state"], body["candidate"]["stage"], body["opponent"]["stage"]) == (
        "promoted",
        "current",
        "retired",
    )
    assert body["ended_at"]
    assert {step["state"] for step in body["steps"]} == {"done"}
    version = admin.get(f"/api/v1/models/{reviewed.candidate_id}/").json()
    assert (version["made_by"], version["round"]) == (str(run_of(reviewed, "ppo").pk), 1)


def test_the_lineage_goes_back_to_the_labelers(admin, reviewed):
    graph = admin.get(f"/api/v1/models/{reviewed.candidate_id}/lineage/").json()
    kinds = {node["id"]: node["type"] for node in graph["nodes"]}
    assert set(kinds.values()) == {"version", "run", "snapshot", "labelers"}
    up = {}
    for edge in graph["edges"]:
        up.setdefault(edge["to"], []).append(edge["from"])
    seen, todo = set(), [str(reviewed.candidate_id)]
    while todo:
        one = todo.pop()
        seen.add(one)
        todo += [parent for parent in up.get(one, []) if parent not in seen]
    assert {kinds[one] for one in seen} == {"version", "run", "snapshot", "labelers"}
    assert all(edge["from"] in kinds and edge["to"] in kinds for edge in graph["edges"])


def test_the_number_of_queries_is_bounded(admin, reviewed, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        assert admin.get(at(reviewed.pk)).status_code == 200
    with django_assert_max_num_queries(14):
        assert len(admin.get(at(reviewed.pk, "pairs/")).json()) == 4


def test_simulation_is_for_demos_only(admin, opened, project):
    ticked(Round.objects.get())
    answer = admin.post(at(opened["id"], "simulate/"), {})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_demo")
    project.is_demo = True
    project.save()
    assert "simulate" in admin.get(at(opened["id"])).json()["actions"]
    assert admin.post(at(opened["id"], "simulate/"), {}).status_code == 202


def test_simulated_labelers_finish_the_step_and_are_marked(opened, project):
    project.is_demo = True
    project.save()
    round_ = ticked(Round.objects.get())
    assert simulate_round(round_.pk) == 2
    assert simulate_round(round_.pk) == 0
    round_ = ticked(round_)
    assert (round_.step_done, round_.is_synthetic) == (True, True)
    assert set(Demonstration.objects.values_list("is_synthetic", flat=True)) == {True}


def test_what_people_hold_is_named_and_simulated_labelers_leave_it_alone(admin, opened, project, ana):
    project.is_demo = True
    project.save()
    round_ = ticked(Round.objects.get())
    held = lambda: admin.get(at(opened["id"])).json()["steps"][0]["held"]  # noqa: E731
    assert held() is None
    lease = next_assignment(project=project, labeler=ana)["assignment"]
    answer = admin.post(at(opened["id"], "simulate/"), {})
    assert answer.json()["steps"][0]["held"]["tasks"] == 1
    until = Assignment.objects.get(pk=lease["id"]).lease_until
    assert parse_datetime(held()["until"]) == until
    assert {step["held"] for step in answer.json()["steps"][1:]} == {None}
    assert simulate_round(round_.pk) == SMALL["demonstrations"]
    assert not Demonstration.objects.filter(task__assignments=lease["id"]).exists()


def test_a_lease_that_ended_holds_nothing(admin, opened, project, ana):
    ticked(Round.objects.get())
    next_assignment(project=project, labeler=ana)
    Slot.objects.filter(lease_until__isnull=False).update(lease_until=now())
    assert admin.get(at(opened["id"])).json()["steps"][0]["held"] is None


def test_the_defaults_fit_the_project(admin, project):
    body = admin.get(f"/api/v1/projects/{project.pk}/recipes/defaults/").json()
    recipe = body["recipe"]
    assert (recipe["prompts"], recipe["eval_prompts"], recipe["comparisons"]) == (16, 8, 8)
    assert (recipe["demonstrations"], recipe["steps"]) == (16, list(RECIPE_STEPS))
    assert recipe["sft"] == {"preset": "cpu-starter"}
    assert {row["name"] for row in body["fields"]["ppo"]} >= {"lr", "kl_coef", "iterations"}
    told = {row["name"]: row["source"] for row in body["fields"]["ppo"]}
    assert told["kl_coef"] == "N+: 0.05; IG C.4: 0.02"
    assert {"name": "lr", "value": 9e-6, "source": "IG C.2"} in body["presets"]["instructgpt"]["reward"]
    assert recipe["sft"]["preset"] in body["presets"]
    assert body["missing"] == []
    assert [step["step"] for step in body["estimate"]["steps"]] == recipe["steps"]
    assert body["estimate"]["steps"][0] == {"step": "demonstrating", "seconds": None, "basis": "people"}
    assert body["estimate"]["total_seconds"] > 0


def test_later_rounds_leave_sft_out(admin, reviewed, project):
    admin.post(at(reviewed.pk, "promote/"), {})
    recipe = admin.get(f"/api/v1/projects/{project.pk}/recipes/defaults/").json()["recipe"]
    assert recipe["steps"] == ["sampling", "ranking", "training_reward", "training_policy", "evaluating"]


def test_answers_that_do_not_fit_the_context_are_told_before(admin, project, reviewed):
    url = f"/api/v1/projects/{project.pk}/rounds/estimate/"
    context = current_policy(project).context_tokens
    for longest, told in ((context, ["long_answers"]), (context - 1, [])):
        body = admin.post(url, {"recipe": {**SMALL, "sampling": {"max_tokens": longest}}}).json()
        assert [one["code"] for one in body["missing"] if one["code"] == "long_answers"] == told


@pytest.mark.parametrize(
    ("recipe", "setting"),
    [
        ({"ppo": {"preset": "instructgpt", "max_new_tokens": 1000}}, "ppo.max_new_tokens"),
        ({"policy_algorithm": "rloo", "rloo": {"max_new_tokens": 1000}}, "rloo.max_new_tokens"),
        ({"sampling": {"max_tokens": 1000}}, "ppo.max_new_tokens"),
        ({"sft": {"select": "reward", "reward_tokens": 1000}}, "sft.reward_tokens"),
        ({"reward": {"normalize": "samples", "normalize_tokens": 1000}}, "reward.normalize_tokens"),
        ({"policy_algorithm": "dpo", "dpo": {"max_new_tokens": 1000}}, None),  # ends at the context
    ],
)
def test_answers_that_leave_no_prompt_any_room_stop_a_launch(recipe, setting, admin, project, url):
    context, recipe = current_policy(project).context_tokens, {**SMALL, **recipe}
    body = admin.post(f"{url}estimate/", {"recipe": recipe}).json()
    stops = [one for one in body["missing"] if one["code"] == "no_room"]
    if setting is None:
        assert stops == []
        return
    assert [one["blocking"] for one in stops] == [True]
    found = re.fullmatch(rf"Lower {re.escape(setting)} to at most (\d+)\.", stops[0]["remedy"])
    assert found
    assert 0 < int(found[1]) < context
    answer = admin.post(url, {"recipe": recipe})
    assert (answer.status_code, answer.json()["code"]) == (409, "round_not_ready")


def test_an_estimate_says_what_is_missing_and_from_what_it_knows(admin, project, reviewed):
    url = f"/api/v1/projects/{project.pk}/rounds/estimate/"
    body = admin.post(url, {"recipe": {**SMALL, "prompts": 50, "overlap": 9, "min_heldout": 100}}).json()
    assert [one["code"] for one in body["missing"]] == ["few_prompts", "few_heldout_prompts", "few_labelers"]
    assert body["missing"][0]["message"].endswith("the round will take the 16 that there are.")
    assert "92 more are needed" in body["missing"][1]["message"]
    assert not any(one["blocking"] for one in body["missing"])
    basis = {step["step"]: step["basis"] for step in body["estimate"]["steps"]}
    assert basis["training_policy"] == basis["sampling"] == "earlier runs of this project"
    assert admin.post(url, {"recipe": {"k": 0}}).status_code == 400


def test_more_answers_than_prompts_are_asked_for_is_said_beforehand(admin, project):
    url = f"/api/v1/projects/{project.pk}/rounds/estimate/"
    recipe = {**SMALL, "demonstrations": 1000, "prompts": 100_000}
    told = {one["code"]: one["message"] for one in admin.post(url, {"recipe": recipe}).json()["missing"]}
    assert "1000 demonstrations" in told["few_prompts_to_answer"]
    assert "100000 prompts" in told["few_prompts"]


def test_nothing_to_measure_on_is_said_beforehand(client_of, eva, base, project):
    prompts(project, train=5)
    body = client_of(eva).get(f"/api/v1/projects/{project.pk}/recipes/defaults/").json()
    assert {"few_heldout_prompts", "no_valid_prompts"} <= {one["code"] for one in body["missing"]}
