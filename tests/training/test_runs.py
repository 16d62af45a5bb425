"""Runs in the database: claim, fence, metrics, end, cancel, retry, reap."""

import threading

import pytest
from celery import current_app
from django.db import IntegrityError, connection, transaction

from accounts.models import Event
from inference.models import ModelVersion
from tests.training.factories import RoundFactory, RunFactory
from training.models import Attempt, Metric, Run
from training.services.attempts import (
    Fenced,
    Outcome,
    begin_attempt,
    claim_run,
    confirm_cancelled,
    fail_run,
    finish_run,
    heartbeat,
    record_metrics,
    release_run,
)
from training.services.runs import (
    MAX_TRIES,
    NotRetryable,
    RunAlive,
    RunEnded,
    cancel_run,
    give_back,
    reap_runs,
    retry_run,
    ring_again,
)
from training.states import RUN_MOVES, RunState

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(queued):
    return queued()


@pytest.fixture
def outcome(weights):
    return Outcome(result={"kind": "sft", "steps": 3, "metrics": {"sft/loss": 1.5}}, model=weights)


def test_a_queued_run_is_claimed_once(run):
    assert claim_run(run.pk, host="here") == 1
    assert claim_run(run.pk) is None
    run.refresh_from_db()
    assert (run.state, run.fence, run.tries) == ("running", 1, 1)
    assert [(a.fence, a.state, a.host) for a in run.attempts.all()] == [(1, "running", "here")]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_gets_it(queued):
    run = queued()
    found = []

    def claim():
        found.append(claim_run(run.pk))
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [1] + [None] * 7


def test_a_run_whose_lease_is_over_is_taken_over_with_a_higher_fence(run, clock):
    assert claim_run(run.pk) == 1
    clock.advance(seconds=31)
    assert claim_run(run.pk) == 2
    assert [(a.fence, a.state) for a in run.attempts.order_by("fence")] == [(1, "lost"), (2, "running")]


def test_a_heartbeat_keeps_the_lease(run, clock):
    claim_run(run.pk)
    clock.advance(seconds=25)
    assert heartbeat(run_id=run.pk, fence=1)
    clock.advance(seconds=25)
    assert claim_run(run.pk) is None


def test_who_was_replaced_changes_nothing(run, clock, outcome):
    claim_run(run.pk)
    clock.advance(seconds=31)
    claim_run(run.pk)
    old = {"run_id": run.pk, "fence": 1}
    assert not heartbeat(**old)
    for write in (
        lambda: record_metrics(**old, rows=[{"step": 1, "sft/loss": 1.0}]),
        lambda: begin_attempt(**old, resumed_from="", step=0, pid=1),
        lambda: fail_run(**old, code="x", message="", remedy=""),
        lambda: finish_run(**old, outcome=outcome),
        lambda: confirm_cancelled(**old),
        lambda: release_run(**old, code="killed", message=""),
    ):
        with pytest.raises(Fenced):
            write()
    run.refresh_from_db()
    assert (run.state, run.fence, run.error, run.produced) == ("running", 2, {}, None)
    assert not Metric.objects.exists()
    assert ModelVersion.objects.count() == 1


def test_metrics_are_rows_and_the_last_one_moves_the_run(run):
    claim_run(run.pk)
    rows = [
        {"step": n, "time": 1.0, "progress": n / 4, "eta_s": 9.0 - n, "sft/loss": 3.0 - n} for n in (1, 2)
    ]
    record_metrics(run_id=run.pk, fence=1, rows=rows, checkpoint="attempt-1/step-2")
    run.refresh_from_db()
    assert (run.step, run.progress, run.eta_seconds, run.checkpoint) == (2, 0.5, 7.0, "attempt-1/step-2")
    assert list(Metric.objects.filter(run=run).order_by("step").values_list("step", "fence")) == [
        (1, 1),
        (2, 1),
    ]


def test_the_same_rows_twice_are_stored_once(run):
    claim_run(run.pk)
    for value in (1.0, 2.0):
        record_metrics(run_id=run.pk, fence=1, rows=[{"step": 1, "sft/loss": value}])
    assert Metric.objects.get().values["sft/loss"] == 2.0


def test_a_later_attempt_replaces_the_rows_after_its_checkpoint(run, clock):
    claim_run(run.pk)
    record_metrics(
        run_id=run.pk,
        fence=1,
        rows=[{"step": n, "sft/loss": 1.0, "progress": n / 10, "eta_s": 5.0} for n in range(1, 9)],
    )
    clock.advance(seconds=31)
    fence = claim_run(run.pk)
    begin_attempt(run_id=run.pk, fence=fence, resumed_from="attempt-1/step-4", step=4, pid=1)
    run.refresh_from_db()
    assert (run.step, run.progress, run.eta_seconds) == (4, 0.4, None)  # and not where the first one died
    record_metrics(run_id=run.pk, fence=fence, rows=[{"step": 5, "sft/loss": 2.0}])
    stored = list(Metric.objects.order_by("step").values_list("step", "fence"))
    assert stored == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2)]
    assert Attempt.objects.get(fence=2).resumed_from == "attempt-1/step-4"


def test_a_finished_run_has_exactly_one_version(run, outcome):
    claim_run(run.pk)
    finish_run(run_id=run.pk, fence=1, outcome=outcome)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert run.produced.kind == "sft"
    assert run.produced.metrics == {"sft/loss": 1.5}
    assert run.lease_until is None
    with pytest.raises(Fenced):
        finish_run(run_id=run.pk, fence=1, outcome=outcome)
    assert ModelVersion.objects.filter(kind="sft").count() == 1
    assert Event.objects.filter(kind="run.succeeded").count() == 1


def test_names_follow_chain_kind_and_round(project, queued, base, outcome):
    round_ = RoundFactory(project=project, number=3, opponent=base)
    for expected in ("random-sft-r3", "random-sft-r3-2"):
        run = queued(round=round_)
        changed = {**outcome.result, "metrics": {"again": 1.0}}
        claim_run(run.pk)
        finished = finish_run(
            run_id=run.pk, fence=1, outcome=Outcome(result=changed, model=other(outcome.model, expected))
        )
        assert finished.produced.name == expected


def other(model, name):
    """The same weights with another card, so that the content is another."""
    import shutil
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp()) / "model"
    shutil.copytree(model, folder)
    (folder / "README.md").write_text(name)
    return folder


def test_a_cancel_that_came_first_wins_over_the_result(run, outcome, eva):
    claim_run(run.pk)
    cancel_run(run=run, actor=eva)
    with pytest.raises(Fenced):
        finish_run(run_id=run.pk, fence=1, outcome=outcome)
    confirm_cancelled(run_id=run.pk, fence=1)
    run.refresh_from_db()
    assert (run.state, run.produced) == ("cancelled", None)
    assert not ModelVersion.objects.filter(kind="sft").exists()


def test_a_result_that_came_first_wins_over_the_cancel(run, outcome, eva):
    claim_run(run.pk)
    finish_run(run_id=run.pk, fence=1, outcome=outcome)
    with pytest.raises(RunEnded):
        cancel_run(run=run, actor=eva)


def test_a_queued_run_is_cancelled_at_once_and_again(run, eva):
    assert cancel_run(run=run, actor=eva).state == "cancelled"
    assert cancel_run(run=run, actor=eva).state == "cancelled"
    assert claim_run(run.pk) is None


def test_a_failed_run_says_why_and_can_be_retried(run, eva):
    claim_run(run.pk)
    fail_run(run_id=run.pk, fence=1, code="nan_loss", message="The loss is nan.", remedy="Lower the rate.")
    run.refresh_from_db()
    assert run.error == {"code": "nan_loss", "message": "The loss is nan.", "remedy": "Lower the rate."}
    assert run.attempts.get().state == "failed"
    retry_run(run=run, actor=eva)
    assert (run.state, run.error, run.tries) == ("queued", {}, 0)
    assert claim_run(run.pk) == 2


def test_only_a_failed_or_cancelled_run_can_be_retried(run, eva):
    with pytest.raises(NotRetryable):
        retry_run(run=run, actor=eva)


def test_a_silent_run_is_queued_again_and_fails_after_three_tries(run, clock):
    for attempt in range(1, MAX_TRIES + 1):
        assert claim_run(run.pk) == attempt
        assert reap_runs() == 0
        clock.advance(seconds=31)
        assert reap_runs() == 1
        run.refresh_from_db()
        assert run.state == ("queued" if attempt < MAX_TRIES else "failed")
    assert run.error["code"] == "lost"
    assert run.error["remedy"]
    assert set(run.attempts.values_list("state", flat=True)) == {"lost"}
    assert reap_runs() == 0


def test_a_silent_run_that_was_to_be_cancelled_is_cancelled(run, clock, eva):
    claim_run(run.pk)
    cancel_run(run=run, actor=eva)
    clock.advance(seconds=31)
    assert reap_runs() == 1
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_cancel_between_the_reaper_s_look_and_its_write_is_not_lost(run, clock, eva):
    claim_run(run.pk)
    clock.advance(seconds=31)
    seen = Run.objects.get(pk=run.pk)
    cancel_run(run=run, actor=eva)
    assert not give_back(seen, guard=Run.objects.filter(pk=run.pk), code="lost", message="Silent.")
    assert reap_runs() == 1
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_run_that_is_to_be_cancelled_is_never_queued_again_by_its_supervisor(run, eva):
    claim_run(run.pk)
    cancel_run(run=run, actor=eva)
    release_run(run_id=run.pk, fence=1, code="killed", message="The training process was killed.")
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert run.attempts.get().state == "cancelled"


def test_a_stopped_worker_costs_no_try(run):
    claim_run(run.pk)
    release_run(
        run_id=run.pk, fence=1, code="worker_stopped", message="The worker was stopped.", counts=False
    )
    run.refresh_from_db()
    assert (run.state, run.tries) == ("queued", 0)


@pytest.mark.django_db(transaction=True)
def test_a_lost_message_is_sent_again(queued, clock, empty_queues):
    run = queued()
    assert waiting() == 1
    assert ring_again() == 0
    clock.advance(seconds=61)
    assert ring_again() == 1
    assert ring_again() == 0
    assert waiting() == 2
    Run.objects.filter(pk=run.pk).update(enqueued_at=None)
    assert ring_again() == 1


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_when_the_transaction_is_rolled_back(queued, empty_queues):
    def launch_and_fail():
        with transaction.atomic():
            queued()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        launch_and_fail()
    assert waiting() == 0
    assert not Run.objects.exists()


def waiting():
    with current_app.connection_for_read() as broker:
        return broker.default_channel.client.llen("train")


def test_a_round_has_one_live_run_of_a_kind(project, queued, base):
    round_ = RoundFactory(project=project, opponent=base)
    queued(round=round_)
    with pytest.raises(RunAlive):
        queued(round=round_)


def test_a_succeeded_run_without_a_version_cannot_be_stored(project):
    run = RunFactory(project=project)
    with pytest.raises(IntegrityError, match="succeeded_run_has_a_version"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="succeeded")


def test_a_state_that_nobody_knows_cannot_be_stored(project):
    run = RunFactory(project=project)
    with pytest.raises(IntegrityError, match="run_state_known"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="dreaming")


def test_a_step_has_one_row(run):
    claim_run(run.pk)
    Metric.objects.create(run=run, step=1, fence=1, values={})
    with pytest.raises(IntegrityError, match="one_metric_row_per_step"), transaction.atomic():
        Metric.objects.create(run=run, step=1, fence=2, values={})


def test_succeeded_is_an_end():
    assert RunState.SUCCEEDED not in RUN_MOVES


def test_every_change_of_state_is_an_event(run, outcome):
    claim_run(run.pk)
    finish_run(run_id=run.pk, fence=1, outcome=outcome)
    kinds = list(Event.objects.filter(subject=f"run:{run.pk}").order_by("id").values_list("kind", flat=True))
    assert kinds == ["run.queued", "run.claimed", "run.succeeded"]
