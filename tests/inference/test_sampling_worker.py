"""A real Celery worker of queue `sample`, killed in the middle."""

import os
import signal
import time

import pytest
import redis
from django.db.models import Count

from common.celery import enqueue
from inference.models import Completion, SamplingJob
from inference.selectors import completions_of
from inference.services import reap_sampling_jobs
from tests.factories import sampling_job

pytestmark = [pytest.mark.slow]


@pytest.fixture(autouse=True)
def empty_queue(services, settings):
    server = redis.Redis.from_url(settings.PRECEPTOR_REDIS_URL)
    server.delete("sample")
    server.close()


def test_a_job_whose_worker_is_killed_is_done_within_90_seconds(processes, version):
    job = sampling_job(version, prompts=80, n=4, max_tokens=100)
    first = processes.worker("sample", pool="solo")
    wait(job, lambda now: now.finished >= 8, processes, seconds=60)
    os.killpg(first.pid, signal.SIGKILL)
    killed = time.monotonic()
    first.wait()
    before = {c.pk for c in completions_of(job)}
    now = SamplingJob.objects.get(pk=job.pk)
    assert now.state == "running"
    assert 8 <= now.finished == len(before) < now.wanted
    processes.worker("sample", pool="solo")
    while SamplingJob.objects.get(pk=job.pk).state != "done":
        reap_sampling_jobs()  # as the control loop does
        assert time.monotonic() - killed < 90, processes.log("sample")[-3000:]
        time.sleep(0.5)
    now = SamplingJob.objects.get(pk=job.pk)
    assert (now.finished, now.attempts, now.fence) == (320, 2, 2)
    assert before <= {c.pk for c in completions_of(job)}
    counts = job.requests.annotate(have=Count("completions")).values_list("have", flat=True)
    assert set(counts) == {4}
    assert len(counts) == 80


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])
def test_a_worker_that_is_asked_to_stop_gives_its_job_back_at_once(processes, version, number):
    job = sampling_job(version, prompts=400, n=4, max_tokens=100)
    worker = processes.worker("sample", pool="solo")
    wait(job, lambda now: now.finished >= 8, processes, seconds=180)
    os.kill(worker.pid, number)
    worker.wait(60)  # It would take far longer to finish the job.
    now = SamplingJob.objects.get(pk=job.pk)
    # Free for the next sampler without a lease to wait for, and this was no death.
    assert (now.state, now.attempts, now.lease_until) == ("queued", 0, None)
    assert 8 <= now.finished == completions_of(job).count() < now.wanted


def test_a_message_twice_and_a_forged_one_do_no_harm(processes, version):
    job = sampling_job(version, prompts=3, n=2)
    enqueue("inference.run_sampling_job", job.pk)
    enqueue("inference.run_sampling_job", version.pk)  # an id that is no job's
    enqueue("inference.run_sampling_job", "not an id")
    last = sampling_job(version, prompts=1, n=2)
    processes.worker("sample", pool="solo")
    wait(last, lambda now: now.state == "done", processes, seconds=60)
    now = SamplingJob.objects.get(pk=job.pk)
    assert (now.state, now.finished, now.fence) == ("done", 6, 1)
    assert Completion.objects.count() == 8


def wait(job, true, processes, *, seconds):
    end = time.monotonic() + seconds
    while not true(SamplingJob.objects.get(pk=job.pk)):
        assert time.monotonic() < end, processes.log("sample")[-3000:]
        time.sleep(0.05)
