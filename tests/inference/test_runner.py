"""The sampler's work in one process, with a real random model."""

import math
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from accounts.models import Event
from common.storage import default_store
from inference import runner
from inference.likeness import normalised
from inference.models import Completion, SamplingJob
from inference.selectors import completions_of
from inference.services import cancel_job, claims, reap_sampling_jobs
from inference.services.jobs import MAX_ATTEMPTS
from tests.factories import sampling_job, version_with_weights

pytestmark = pytest.mark.django_db(transaction=True)


def drawn(job):
    # Log-probabilities may differ in the last bits, with the number of rows in a forward pass.
    return [(c.request.key, c.candidate, c.text, c.token_ids, c.seed) for c in completions_of(job)]


def test_every_prompt_gets_exactly_n_completions_that_say_how_they_were_made(version):
    job = sampling_job(version, prompts=5, n=4)
    runner.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.finished, job.wanted, job.reason) == ("done", 20, 20, "")
    assert job.tokens_per_second > 0
    assert job.ended_at >= job.started_at
    for request in job.requests.all():
        rows = list(request.completions.order_by("candidate"))
        assert len(rows) == 4
        for row in rows:
            assert row.version_id == version.pk
            assert row.params == job.params
            assert len(row.token_ids) == len(row.logprobs) <= 12
            assert all(math.isfinite(p) and p <= 0 for p in row.logprobs)
            assert row.finish_reason in ("stop", "length")


def test_the_same_job_again_says_the_same(version):
    first, second = sampling_job(version, prompts=3), sampling_job(version, prompts=3)
    runner.run_job(first.pk)
    runner.run_job(second.pk)
    assert drawn(first) == drawn(second)


def test_a_message_that_comes_twice_does_nothing_the_second_time(version):
    job = sampling_job(version)
    runner.run_job(job.pk)
    before = list(Completion.objects.order_by("id").values())
    runner.run_job(job.pk)
    assert list(Completion.objects.order_by("id").values()) == before
    assert SamplingJob.objects.get().fence == 1


def test_a_job_that_somebody_else_holds_is_left_alone(version):
    job = sampling_job(version)
    held = claims.claim_job(job.pk)
    runner.run_job(job.pk)
    assert Completion.objects.count() == 0
    assert SamplingJob.objects.get().fence == held.fence


def test_an_unknown_id_does_nothing(db, version):
    runner.run_job(version.pk)
    assert Completion.objects.count() == 0


def test_a_job_that_died_half_way_is_finished_and_says_what_it_would_have_said(version):
    whole, broken = sampling_job(version, prompts=6), sampling_job(version, prompts=6)
    runner.run_job(whole.pk)
    held = claims.claim_job(broken.pk)
    twins = {request.key: request for request in whole.requests.all()}
    for request in claims.missing_requests(held)[:2]:
        rows = twins[request.key].completions.all()
        copies = [copy_of(row, request) for row in rows]
        claims.write_request(held, request, copies, redrawn=0, tokens_per_second=1.0)
    written = set(Completion.objects.filter(request__job=broken).values_list("pk", flat=True))
    expire(broken)
    runner.run_job(broken.pk)
    broken.refresh_from_db()
    assert (broken.state, broken.finished, broken.attempts) == ("done", 24, 2)
    assert written <= set(Completion.objects.filter(request__job=broken).values_list("pk", flat=True))
    assert drawn(broken) == drawn(whole)


def test_a_stale_fence_writes_nothing(version):
    job = sampling_job(version)
    stale = claims.claim_job(job.pk)
    expire(job)
    fresh = claims.claim_job(job.pk)
    assert fresh.fence == stale.fence + 1
    request = claims.missing_requests(stale)[0]
    rows = [
        Completion(version=version, request=request, candidate=i, token_ids=[], logprobs=[], seed=0)
        for i in range(4)
    ]
    for write in (
        lambda: claims.write_request(stale, request, rows, redrawn=0, tokens_per_second=1.0),
        lambda: claims.finish_job(stale),
        lambda: claims.fail_job(stale, "no"),
        lambda: claims.stop_cancelled(stale),
        lambda: claims.cancel_wanted(stale),
    ):
        with pytest.raises(claims.FenceLost):
            write()
    assert not claims.beat(stale)
    assert Completion.objects.count() == 0
    job.refresh_from_db()
    assert (job.state, job.finished, job.fence) == ("running", 0, fresh.fence)


def test_a_sampler_that_lost_its_job_stops_and_leaves_it_to_the_successor(version, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.05)
    job = sampling_job(version, prompts=30, n=4, max_tokens=90)
    work = threading.Thread(target=in_thread, args=(job.pk,))
    work.start()
    wait_until(lambda: SamplingJob.objects.get(pk=job.pk).finished > 0)
    expire(job)
    SamplingJob.objects.filter(pk=job.pk).update(state="queued")
    successor = claims.claim_job(job.pk)
    at_claim = SamplingJob.objects.get(pk=job.pk).finished
    work.join(30)
    assert not work.is_alive()
    now = SamplingJob.objects.get(pk=job.pk)
    assert (now.state, now.fence, now.finished) == ("running", successor.fence, at_claim)
    assert Completion.objects.count() == at_claim


def test_a_cancelled_job_stops_and_keeps_what_was_sampled(version, eva, monkeypatch):
    monkeypatch.setattr(runner, "LOOK_EVERY_SECONDS", 0.0)
    job = sampling_job(version, prompts=60, n=4, max_tokens=90)
    work = threading.Thread(target=in_thread, args=(job.pk,))
    work.start()
    wait_until(lambda: SamplingJob.objects.get(pk=job.pk).finished > 0)
    cancel_job(job=SamplingJob.objects.get(pk=job.pk), actor=eva, reason="Wrong prompts.")
    work.join(30)
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "Wrong prompts.")
    assert 0 < job.finished < job.wanted
    assert Completion.objects.count() == job.finished
    runner.run_job(job.pk)  # The message comes again.
    assert Completion.objects.count() == job.finished


def test_a_sampler_that_is_asked_to_stop_gives_its_job_back_as_often_as_it_likes(version):
    job = sampling_job(version, prompts=24, n=4, max_tokens=90)
    for _ in range(claims_that_would_fail_a_job := MAX_ATTEMPTS + 1):
        before = SamplingJob.objects.get(pk=job.pk).finished
        stopping = threading.Event()
        work = threading.Thread(target=in_thread, args=(job.pk, stopping))
        work.start()
        wait_until(lambda before=before: SamplingJob.objects.get(pk=job.pk).finished > before)
        stopping.set()
        work.join(30)
        job.refresh_from_db()
        assert (job.state, job.attempts, job.lease_until) == ("queued", 0, None)
    assert job.fence == claims_that_would_fail_a_job
    assert before < job.finished == Completion.objects.count() < job.wanted
    assert Event.objects.filter(kind="sampling_job.given_back").count() == claims_that_would_fail_a_job
    runner.run_job(job.pk, stopping=stopping)  # A message that comes to a stopping worker is for another.
    job.refresh_from_db()
    assert (job.state, job.fence) == ("queued", claims_that_would_fail_a_job)
    whole = sampling_job(version, prompts=24, n=4, max_tokens=90)
    for one in (job, whole):
        runner.run_job(one.pk)
    job.refresh_from_db()
    assert (job.state, job.finished) == ("done", 96)
    assert drawn(job) == drawn(whole)


def test_a_cancelled_job_is_not_given_back(version, eva):
    job = sampling_job(version)
    held = claims.claim_job(job.pk)
    cancel_job(job=SamplingJob.objects.get(), actor=eva)
    claims.give_back(held)
    job.refresh_from_db()
    assert (job.state, job.lease_until) == ("cancelled", None)
    with pytest.raises(claims.FenceLost):
        claims.give_back(held)


def test_what_was_finished_in_the_step_of_an_error_is_written(project, tmp_path):
    from safetensors.torch import load_file, save_file

    from inference.engine.config import SamplingParams
    from inference.models import VersionKind
    from inference.services import register_version, request_samples
    from tests.factories import model_folder

    folder = model_folder(tmp_path / "sick", seed=4)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["transformer.wpe.weight"][60] = math.nan  # Whoever comes so far goes bad.
    save_file(tensors, file, metadata={"format": "pt"})
    version = register_version(project=project, kind=VersionKind.BASE, folder=folder, name="sick")
    prompts = [
        (key * 64, [{"role": "user", "content": text}], 2) for key, text in (("a", "long " * 40), ("b", "x"))
    ]
    params = SamplingParams(max_tokens=1, temperature=0)
    job = request_samples(project=project, version=version, prompts=prompts, params=params, seed=0)
    runner.run_job(job.pk, loaded=runner.LoadedVersions())
    job.refresh_from_db()
    assert (job.state, job.finished) == ("failed", 2)
    assert "aaaaaaaaaaaa failed (invalid_logits)" in job.reason
    assert {c.request.key[0] for c in completions_of(job)} == {"b"}


def test_a_queued_job_that_was_cancelled_never_starts(version, eva):
    job = cancel_job(job=sampling_job(version), actor=eva)
    runner.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.finished, job.fence) == ("cancelled", 0, 0)


def test_a_changed_folder_is_refused_before_it_is_loaded(project, tmp_path):
    version = version_with_weights(project, tmp_path / "m", seed=3)
    config = default_store().open(version.digest) / "config.json"
    config.chmod(0o644)
    config.write_text(config.read_text() + " ")
    job = sampling_job(version)
    runner.run_job(job.pk, loaded=runner.LoadedVersions())
    job.refresh_from_db()
    assert job.state == "failed"
    assert "changed or damaged" in job.reason
    assert Completion.objects.count() == 0


def test_weights_that_are_not_numbers_fail_the_job_with_a_reason(project, tmp_path):
    from safetensors.torch import load_file, save_file

    from inference.models import VersionKind
    from inference.services import register_version
    from tests.factories import model_folder

    folder = model_folder(tmp_path / "nan", seed=4)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file(
        {name: tensor * float("nan") for name, tensor in tensors.items()}, file, metadata={"format": "pt"}
    )
    version = register_version(project=project, kind=VersionKind.BASE, folder=folder, name="nan")
    job = sampling_job(version)
    runner.run_job(job.pk, loaded=runner.LoadedVersions())
    job.refresh_from_db()
    assert job.state == "failed"
    assert "failed" in job.reason
    assert Completion.objects.count() == 0


def test_what_the_database_refuses_fails_the_job_with_a_reason(version):
    job = sampling_job(version, n=4)
    statement = "ALTER TABLE inference_completion {} CONSTRAINT no_third {}"
    with connection.cursor() as cursor:
        cursor.execute(statement.format("ADD", "CHECK (candidate < 2)"))
        try:
            runner.run_job(job.pk)
        finally:
            cursor.execute(statement.format("DROP", ""))
    job.refresh_from_db()
    assert job.state == "failed"
    assert "no_third" in job.reason
    assert (job.finished, Completion.objects.count()) == (0, 0)


def test_a_prompt_that_does_not_fit_fails_the_job_and_names_the_prompt(version):
    from inference.engine.config import SamplingParams
    from inference.services import request_samples

    prompts = [("a" * 64, [{"role": "user", "content": "long " * 300}], 2)]
    params = SamplingParams(max_tokens=4)
    job = request_samples(project=version.project, version=version, prompts=prompts, params=params, seed=0)
    runner.run_job(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert "aaaaaaaaaaaa" in job.reason
    assert "context" in job.reason


def test_texts_that_read_alike_are_drawn_again_up_to_three_times_n(version):
    job = sampling_job(version, prompts=2, n=6, max_tokens=1, top_k=3)
    runner.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.finished) == ("done", 12)
    for request in job.requests.all():
        texts = [normalised(c.text) for c in request.completions.all()]
        assert len(texts) == 6
        assert len(set(texts)) <= 3  # top_k=3 leaves no more
        assert request.redrawn == 12


def test_the_most_likely_answer_is_not_drawn_again_for_nothing(version):
    job = sampling_job(version, prompts=1, n=3, temperature=0.0)
    runner.run_job(job.pk)
    assert {c.text for c in completions_of(job)} == {completions_of(job).first().text}
    assert job.requests.get().redrawn == 0


def test_the_versions_used_last_stay_loaded_within_a_budget(project, tmp_path):
    one = version_with_weights(project, tmp_path / "1", name="one", seed=1)
    two = version_with_weights(project, tmp_path / "2", name="two", seed=2)
    loaded = runner.LoadedVersions()
    engine = loaded.engine(one)
    assert loaded.engine(one) is engine
    loaded.engine(two)
    assert loaded.digests() == [one.digest, two.digest]
    loaded.engine(one)
    assert loaded.digests() == [two.digest, one.digest]
    small = runner.LoadedVersions(budget=1)
    small.engine(one)
    small.engine(two)
    assert small.digests() == [two.digest]


def test_a_request_costs_four_statements_and_no_more(version):
    few, many = sampling_job(version, prompts=2, n=4), sampling_job(version, prompts=12, n=4)
    runner.run_job(sampling_job(version, prompts=1).pk)  # loads the model
    counts = []
    for job in (few, many):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            runner.run_job(job.pk)
        sent = [q["sql"] for q in queries if "cancel_requested_at" not in q["sql"].split("FROM")[0]]
        counts.append(len(sent))
    # BEGIN, UPDATE job, INSERT completions, COMMIT; a second UPDATE only where texts were drawn again.
    assert counts[1] - counts[0] <= 10 * 5
    assert counts[0] <= 24


def test_a_job_whose_sampler_died_is_queued_again_and_after_three_times_failed(version):
    job = sampling_job(version)
    for attempt in (1, 2, 3):
        assert claims.claim_job(job.pk).job.attempts == attempt
        assert reap_sampling_jobs() == 0
        expire(job)
        assert reap_sampling_jobs() == 1
    job.refresh_from_db()
    assert job.state == "failed"
    assert "died 3 times" in job.reason
    assert reap_sampling_jobs() == 0


def copy_of(row, request):
    return Completion(
        version=row.version,
        request=request,
        candidate=row.candidate,
        text=row.text,
        token_ids=row.token_ids,
        logprobs=row.logprobs,
        seed=row.seed,
        params=row.params,
        finish_reason=row.finish_reason,
    )


def expire(job):
    SamplingJob.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


def in_thread(pk, stopping=None):
    try:
        runner.run_job(pk, stopping=stopping)
    finally:
        connection.close()


def wait_until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
