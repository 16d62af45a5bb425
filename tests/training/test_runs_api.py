"""REST of runs and snapshots."""

import json

import pytest

from tests.training.factories import MetricFactory, RoundFactory, demonstrations
from tests.training.machines import failed, trained
from training.core.metrics import METRICS
from training.models import Run
from training.places import attempt_folder
from training.services.attempts import claim_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(client_of, eva):
    return client_of(eva)


@pytest.fixture
def run(queued):
    return queued()


def at(run, what=""):
    return f"/api/v1/runs/{run.pk}/{what}"


def test_a_run_with_its_attempts_and_result(admin, project, run, weights):
    trained(run, weights, **{"sft/loss": 1.25})
    body = admin.get(at(run)).json()
    assert (body["kind"], body["state"], body["progress"], body["error"]) == ("sft", "succeeded", 1.0, None)
    assert body["result"]["metrics"] == {"sft/loss": 1.25}
    assert body["produced"]["kind"] == "sft"
    assert body["model"]["name"] == "random"
    assert [(one["fence"], one["state"]) for one in body["attempts"]] == [(1, "succeeded")]
    assert body["config"]["batch_size"] == 4
    assert admin.get(f"/api/v1/projects/{project.pk}/runs/").json() == [body]


def test_who_may_not(client_of, run, ana, ria, zoe, rex):
    for user, look, change in (
        (None, 401, 401),
        (ana, 403, 403),
        (ria, 200, 403),
        (zoe, 404, 404),
        (rex, 404, 404),
    ):
        client = client_of(user)
        for what in ("", "metrics/", "samples/"):
            assert client.get(at(run, what)).status_code == look
        assert client.get(at(run, "log/")).status_code == (403 if look == 200 else look)
        for what in ("cancel/", "retry/"):
            assert client.post(at(run, what)).status_code == change


def test_metrics_come_with_their_meaning(admin, run):
    for step in (1, 2, 3):
        MetricFactory(run=run, step=step, values={"time": 5.0, "progress": step / 3, "sft/loss": 3.0 / step})
    body = admin.get(at(run, "metrics/")).json()
    assert [row["step"] for row in body["rows"]] == [1, 2, 3]
    assert body["rows"][0]["values"] == {"progress": 1 / 3, "sft/loss": 3.0}
    assert set(body["glossary"]) == set(METRICS)
    assert set(body["glossary"]["ppo/kl"]) == {"unit", "help", "healthy"}
    assert [row["step"] for row in admin.get(at(run, "metrics/?after=2")).json()["rows"]] == [3]
    assert admin.get(at(run, "metrics/?after=x")).status_code == 400


def test_samples_and_log_are_text_whatever_they_hold(admin, run):
    assert (admin.get(at(run, "samples/")).json(), admin.get(at(run, "log/")).content) == ([], b"")
    claim_run(run.pk)
    folder = attempt_folder(run.pk, 1)
    folder.mkdir(parents=True)
    rows = [{"step": 4, "prompt": [{"role": "user", "content": "Hi"}], "text": "<script>\u2028x"}]
    (folder / "samples.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) + '{"torn'
    )
    (folder / "log.txt").write_bytes(b"\xff<b>hello</b>\x00\n" * 9000)
    body = admin.get(at(run, "samples/")).json()
    assert body == [{**rows[0], "reward": None, "kl": None}]
    log = admin.get(at(run, "log/"))
    assert log["Content-Type"] == "text/plain; charset=utf-8"
    assert log["X-Content-Type-Options"] == "nosniff"
    assert b"\x00" not in log.content
    assert len(log.content) < 200_000


def test_cancel_is_at_once_for_a_queued_run_and_may_be_repeated(admin, run):
    for _ in range(2):
        assert admin.post(at(run, "cancel/")).json()["state"] == "cancelled"


def test_cancel_is_a_wish_for_a_running_one(admin, run):
    claim_run(run.pk)
    body = admin.post(at(run, "cancel/")).json()
    assert (body["state"], body["cancel_requested"]) == ("running", True)


def test_a_run_that_has_ended_cannot_be_cancelled(admin, run):
    failed(run)
    answer = admin.post(at(run, "cancel/"))
    assert (answer.status_code, answer.json()["code"]) == (409, "run_ended")


def test_retry_queues_a_failed_run_again(admin, run):
    failed(run)
    assert admin.get(at(run)).json()["error"]["code"] == "nan_loss"
    body = admin.post(at(run, "retry/")).json()
    assert (body["state"], body["error"]) == ("queued", None)
    answer = admin.post(at(run, "retry/"))
    assert (answer.status_code, answer.json()["code"]) == (409, "run_not_retryable")


def test_retry_takes_the_failed_round_along(admin, project, queued, base):
    round_ = RoundFactory(
        project=project, opponent=base, state="failed", failed_at_step="training_sft", reason="nan"
    )
    run = queued(round=round_)
    failed(run)
    assert admin.post(at(run, "retry/")).json()["state"] == "queued"
    round_.refresh_from_db()
    assert (round_.state, round_.reason) == ("training_sft", "")


def test_nothing_is_retried_for_a_round_that_is_over(admin, project, queued, base):
    run = queued(round=RoundFactory(project=project, opponent=base, state="dropped"))
    failed(run)
    answer = admin.post(at(run, "retry/"))
    assert (answer.status_code, answer.json()["code"]) == (409, "round_ended")


def test_the_list_asks_the_same_few_questions_however_long(
    admin, project, queued, django_assert_max_num_queries
):
    for seed in range(6):
        queued(seed=seed)
    with django_assert_max_num_queries(8):
        assert len(admin.get(f"/api/v1/projects/{project.pk}/runs/").json()) == 6
    assert Run.objects.count() == 6


def test_snapshots_over_rest(client_of, eva, ria, ana, zoe, project, asked):
    demonstrations(project, ana, asked[:3])
    url = f"/api/v1/projects/{project.pk}/snapshots/"
    made = client_of(eva).post(url, {"kind": "sft"})
    assert made.status_code == 201
    body = made.json()
    assert (body["kind"], body["counts"]["total"], body["formats"]) == ("sft", 3, ["sft"])
    assert client_of(eva).post(url, {"kind": "sft"}).json() == body
    assert client_of(ria).get(url).json() == [body]
    assert client_of(ria).get(f"/api/v1/snapshots/{body['id']}/").json() == body
    assert client_of(eva).post(url, {"kind": "poems"}).status_code == 400
    for user, status in ((ria, 403), (ana, 403), (zoe, 404), (None, 401)):
        assert client_of(user).post(url, {"kind": "sft"}).status_code == status
    for user, status in ((ana, 403), (zoe, 404), (None, 401)):
        assert client_of(user).get(url).status_code == status


def test_a_queued_run_says_how_many_come_first_in_any_project(admin, project, other_project, queued):
    first, second = queued(seed=1), queued(seed=2)
    foreign = queued(seed=3, project=other_project)
    last = queued(seed=4)
    assert [admin.get(at(run)).json()["ahead"] for run in (first, second, last)] == [0, 1, 3]
    claim_run(first.pk)
    assert [admin.get(at(run)).json()["ahead"] for run in (first, second, last)] == [None, 1, 3]
    claim_run(foreign.pk)
    assert admin.get(at(second)).json()["ahead"] == 2
    failed(second)
    assert [admin.get(at(run)).json()["ahead"] for run in (second, last)] == [None, 2]
