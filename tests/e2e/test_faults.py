"""Real workers, a real trainer, and what kills them: within 90 seconds nothing still claims to run."""

import os
import signal
import time
from pathlib import Path

import pytest
from celery import current_app

from inference.models import ModelVersion, VersionKind
from inference.services import promote, register_version
from tests.factories import model_folder
from tests.training.factories import demonstrations, prompts
from training.models import Metric, Run
from training.places import attempt_folder
from training.recipe import Recipe
from training.services.runs import cancel_run, queue_run
from training.services.snapshots import freeze

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LONG = {"preset": "test", "epochs": 100, "save_every": 10, "eval_every": 1000, "sample_every": 1000}


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """The folder of a random model of about 100 thousand weights."""
    return model_folder(tmp_path_factory.mktemp("weights") / "random")


@pytest.fixture(autouse=True)
def short_leases(monkeypatch, services):
    """A worker that is silent for four seconds is taken for dead; no message of an earlier test is left."""
    monkeypatch.setenv("PRECEPTOR_LEASE_SECONDS", "4")
    monkeypatch.setenv("PRECEPTOR_HEARTBEAT_SECONDS", "1")
    with current_app.connection_for_write() as connection:
        for name in ("control", "sample", "train"):
            connection.SimpleQueue(name).clear()


@pytest.fixture
def run(project, ana, weights):
    """A queued SFT run of some hundred steps, with a checkpoint every ten."""
    base = promote(
        version=register_version(project=project, kind=VersionKind.BASE, folder=weights, name="random"),
        actor=None,
    )
    demonstrations(project, ana, prompts(project, train=12, valid=2))
    config = Recipe.parse({"sft": LONG}).config("sft")
    return queue_run(
        project=project, kind="sft", config=config, model=base, snapshot=freeze(project=project, kind="sft")
    )


def test_a_killed_trainer_goes_on_from_its_checkpoint(processes, run):
    processes.worker("train")
    wait(run, lambda now: now.checkpoint, processes)
    child = pid_of(run)
    os.kill(child, signal.SIGKILL)
    now = wait(run, lambda now: now.state == "succeeded", processes)
    assert_ended_once(now)
    lost, done = now.attempts.order_by("fence")
    assert (lost.state, done.state) == ("lost", "succeeded")
    assert "SIGKILL" in lost.reason
    assert done.resumed_from.startswith("attempt-1/step-")
    assert not alive(child)


def test_a_killed_worker_takes_its_trainer_along_and_another_goes_on(processes, run):
    processes.control_loop()
    first = processes.worker("train")
    wait(run, lambda now: now.checkpoint, processes)
    child = pid_of(run)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    end = time.monotonic() + 10
    while alive(child):
        assert time.monotonic() < end, "the trainer outlived its supervisor"
        time.sleep(0.05)
    processes.worker("train")
    now = wait(run, lambda now: now.state == "succeeded", processes)
    assert_ended_once(now)
    assert [one.state for one in now.attempts.order_by("fence")] == ["lost", "succeeded"]
    assert now.attempts.get(fence=now.fence).resumed_from


def test_a_supervisor_that_wakes_from_the_dead_changes_nothing(processes, run):
    processes.control_loop()
    first = processes.worker("train")
    wait(run, lambda now: now.checkpoint, processes)
    child = pid_of(run)
    supervisor = parent_of(child)
    os.kill(supervisor, signal.SIGSTOP)
    wait(run, lambda now: now.state == "queued", processes)
    second = processes.worker("train")
    wait(run, lambda now: now.attempts.filter(fence=2).exclude(resumed_from="").exists(), processes)
    os.kill(supervisor, signal.SIGCONT)
    now = wait(run, lambda now: now.state == "succeeded", processes)
    assert_ended_once(now)
    assert now.fence == 2
    assert now.attempts.get(fence=1).state in ("lost", "fenced")
    resumed_at = int(now.attempts.get(fence=2).resumed_from.rpartition("-")[2])
    rows = Metric.objects.filter(run=run, step__gt=resumed_at)
    assert set(rows.values_list("fence", flat=True)) <= {2}
    end = time.monotonic() + 10
    while alive(child):
        assert time.monotonic() < end, "the old trainer goes on"
        time.sleep(0.05)
    assert first.poll() is None
    assert second.poll() is None


def test_a_cancel_ends_the_trainer_within_thirty_seconds(processes, run, eva):
    processes.worker("train")
    wait(run, lambda now: now.step > 0, processes)
    child = pid_of(run)
    cancel_run(run=run, actor=eva)
    now = wait(run, lambda now: now.state == "cancelled", processes, seconds=30)
    assert not alive(child)
    assert now.produced is None
    assert now.attempts.get().state == "cancelled"
    assert ModelVersion.objects.count() == 1


def test_a_worker_that_is_told_to_stop_gives_the_run_back_and_leaves(processes, run):
    worker = processes.worker("train")
    wait(run, lambda now: now.step > 0, processes)
    child = pid_of(run)
    worker.terminate()
    now = wait(run, lambda now: now.state == "queued", processes, seconds=30)
    first = now.attempts.get()
    assert (first.state, now.tries) == ("lost", 0)
    assert "stopped" in first.reason
    assert now.checkpoint
    assert not alive(child)
    assert worker.wait(timeout=30) is not None


def wait(run, true, processes, *, seconds=90):
    end = time.monotonic() + seconds
    while not true(now := Run.objects.get(pk=run.pk)):
        assert now.state != "failed", now.error
        assert time.monotonic() < end, f"{now.state} {now.step} {now.error}\n{processes.log('train')[-3000:]}"
        time.sleep(0.05)
    return now


def assert_ended_once(run):
    assert run.state == "succeeded"
    assert ModelVersion.objects.filter(kind="sft").count() == 1
    assert not list(Path(attempt_folder(run.pk, run.fence)).glob("*.tmp"))
    steps = list(Metric.objects.filter(run=run).order_by("step").values_list("step", flat=True))
    assert steps == list(range(steps[0], steps[-1] + 1))


def pid_of(run):
    attempt = Run.objects.get(pk=run.pk).attempts.latest("fence")
    assert attempt.pid
    return attempt.pid


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
