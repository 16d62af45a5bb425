"""request_samples, cancel_job, reap_sampling_jobs, completions_of: the queue as others use it."""

import base64
import json

import pytest
import redis
from django.db import IntegrityError, transaction

from accounts.models import Event
from common.errors import DomainError
from inference.engine.config import SamplingParams
from inference.models import SampleRequest, SamplingJob
from inference.selectors import completions_of
from inference.services import cancel_job, reap_sampling_jobs, request_samples
from tests.factories import CompletionFactory, SampleRequestFactory, SamplingJobFactory, VersionFactory

pytestmark = pytest.mark.django_db

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def policy(project):
    return VersionFactory(project=project)


@pytest.fixture
def queue(services, settings):
    """How many messages lie in the sampler's real queue, and the next of them; empty at first."""
    server = redis.Redis.from_url(settings.PRECEPTOR_REDIS_URL)
    server.delete("sample")
    yield Queue(server)
    server.delete("sample")
    server.close()


class Queue:
    def __init__(self, server):
        self.server = server

    def __len__(self):
        return self.server.llen("sample")

    def next(self):
        message = json.loads(self.server.rpop("sample"))
        return message["headers"]["task"], json.loads(base64.b64decode(message["body"]))[0]


def ask(policy, **changes):
    wanted = {
        "project": policy.project,
        "version": policy,
        "prompts": [("a" * 64, HELLO, 2), ("b" * 64, HELLO, 3)],
        "params": SamplingParams(max_tokens=8, temperature=0.7),
        "seed": 1,
    }
    return request_samples(**{**wanted, **changes})


def test_it_writes_down_what_is_wanted(policy, eva):
    job = ask(policy, requested_by=eva)
    assert (job.state, job.wanted, job.finished, job.requested_by) == ("queued", 5, 0, eva)
    assert SamplingParams.from_json(job.params).temperature == 0.7
    assert list(job.requests.order_by("key").values_list("key", "n")) == [("a" * 64, 2), ("b" * 64, 3)]
    assert Event.objects.get(kind="sampling_job.requested").data == {"version": str(policy.pk), "wanted": 5}


@pytest.mark.django_db(transaction=True)
def test_it_rings_after_the_commit_with_the_id_alone(policy, queue):
    with transaction.atomic():
        job = ask(policy)
        assert len(queue) == 0
    assert queue.next() == ("inference.run_sampling_job", [str(job.pk)])


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_never_rings(policy, queue):
    with transaction.atomic():
        ask(policy)
        transaction.set_rollback(True)
    assert len(queue) == 0
    assert SamplingJob.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"prompts": []}, "no_prompts"),
        ({"prompts": [("a" * 64, HELLO, 2), ("a" * 64, HELLO, 2)]}, "bad_prompt_key"),
        ({"prompts": [("", HELLO, 2)]}, "bad_prompt_key"),
        ({"prompts": [("a" * 64, HELLO, 0)]}, "bad_n"),
        ({"prompts": [("a" * 64, HELLO, 129)]}, "bad_n"),
        ({"seed": -1}, "bad_seed"),
        ({"seed": 2**63}, "bad_seed"),
    ],
)
def test_what_cannot_be_sampled_is_refused(policy, changes, code):
    with pytest.raises(DomainError) as error:
        ask(policy, **changes)
    assert error.value.error_code == code
    assert SamplingJob.objects.count() == 0


def test_only_a_version_of_the_project_that_writes_text_is_asked(project, other_project, policy):
    for version in (VersionFactory(project=other_project), VersionFactory(project=project, kind="reward")):
        with pytest.raises(DomainError, match="no model of this project"):
            ask(policy, version=version, project=project)


def test_a_thousand_prompts_take_few_statements(policy, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        ask(policy, prompts=[(f"{i:064x}", HELLO, 4) for i in range(1000)])
    assert SampleRequest.objects.count() == 1000


def test_cancelling_a_queued_job_ends_it_and_again_changes_nothing(policy, eva):
    job = cancel_job(job=ask(policy), actor=eva, reason="Wrong prompts.")
    assert (job.state, job.reason) == ("cancelled", "Wrong prompts.")
    ended = job.ended_at
    job = cancel_job(job=job, actor=eva, reason="Again.")
    assert (job.state, job.reason, job.ended_at) == ("cancelled", "Wrong prompts.", ended)
    assert Event.objects.filter(kind="sampling_job.cancelled").count() == 1


@pytest.mark.parametrize("state", ["done", "failed"])
def test_an_ended_job_is_not_cancelled(eva, state):
    job = SamplingJobFactory(state=state)
    assert cancel_job(job=job, actor=eva).state == state


def test_a_forgotten_message_is_sent_again_once_a_minute(policy, clock):
    job = ask(policy)
    assert reap_sampling_jobs() == 0
    clock.advance(seconds=61)
    assert reap_sampling_jobs() == 1
    assert reap_sampling_jobs() == 0
    job.refresh_from_db()
    assert job.state == "queued"


def test_a_running_job_is_brought_back_when_its_lease_is_over(policy, clock):
    from inference.services import claims

    job = ask(policy)
    claims.claim_job(job.pk)
    clock.advance(seconds=29)
    assert reap_sampling_jobs() == 0
    clock.advance(seconds=2)
    assert reap_sampling_jobs() == 1
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("queued", 1)


def test_a_job_that_was_asked_to_stop_and_whose_sampler_died_is_cancelled(policy, eva, clock):
    from inference.services import claims

    job = ask(policy)
    claims.claim_job(job.pk)
    cancel_job(job=SamplingJob.objects.get(), actor=eva)
    clock.advance(seconds=31)
    assert reap_sampling_jobs() == 1
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_a_cancel_between_the_reaper_s_look_and_its_write_is_not_lost(policy, eva, clock):
    from inference.services import claims
    from inference.services.jobs import _bring_back

    job = ask(policy)
    claims.claim_job(job.pk)
    clock.advance(seconds=31)
    seen = SamplingJob.objects.get()
    cancel_job(job=SamplingJob.objects.get(), actor=eva)
    assert _bring_back(seen) == 0
    assert reap_sampling_jobs() == 1
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_completions_come_with_their_requests_in_two_orders_at_one_query(django_assert_num_queries):
    request = SampleRequestFactory()
    CompletionFactory(request=request, candidate=1)
    CompletionFactory(request=request, candidate=0)
    CompletionFactory()
    with django_assert_num_queries(1):
        assert [(c.request.key, c.candidate) for c in completions_of(request.job)] == [
            (request.key, 0),
            (request.key, 1),
        ]


def test_the_database_refuses_more_than_was_asked_for(policy):
    job = ask(policy)
    with pytest.raises(IntegrityError, match="not_over_full"), transaction.atomic():
        SamplingJob.objects.filter(pk=job.pk).update(finished=6)


def test_the_database_refuses_a_candidate_twice():
    one = CompletionFactory(candidate=0)
    with pytest.raises(IntegrityError, match="one_completion_per_candidate"), transaction.atomic():
        CompletionFactory(request=one.request, candidate=0)
