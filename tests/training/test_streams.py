"""Server-sent events of rounds and runs, through ASGI."""

import asyncio
import contextlib
import json
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import AsyncClient

from accounts.services import create_token
from tests.labeling.conftest import Labeler
from tests.labeling.factories import demonstration_batch
from tests.training.factories import MetricFactory, RoundFactory
from tests.training.machines import trained
from training.api import stream as streaming
from training.models import Round
from training.services import rounds
from training.services.attempts import claim_run, record_metrics

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Looks without a wake-up come soon, so that no test waits for the five seconds."""
    monkeypatch.setattr(streaming, "AT_MOST_EVERY", 0.01)


def follow(user, url, *, meanwhile=None, until=None, seconds=10, **headers):
    """(status, events) of a stream, read until it closes or `until(events)`; `meanwhile` runs after the first event."""

    async def read():
        client = AsyncClient()
        if user is not None:
            await client.aforce_login(user)
        response = await client.get(url, headers=headers)
        if not response.streaming:
            return response.status_code, json.loads(response.content)
        events, acted = [], meanwhile is None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for block in response.streaming_content:
                    events += parse(block)
                    if events and not acted:
                        acted = True
                        await sync_to_async(meanwhile)()
                    if until is not None and acted and until(events):
                        break
        await response.streaming_content.aclose()
        return response.status_code, events

    return async_to_sync(read)()


def parse(block):
    found = []
    for part in block.decode().split("\n\n"):
        fields = dict(
            line.partition(": ")[::2] for line in part.splitlines() if line and not line.startswith(":")
        )
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def test_a_round_is_sent_whole_again_when_it_changed_and_closed_when_it_ended(project, base, eva, ria):
    round_ = RoundFactory(project=project, opponent=base, created_by=eva)
    url = f"/api/v1/rounds/{round_.pk}/events/"
    status, events = follow(ria, url, meanwhile=lambda: rounds.cancel(round=Round.objects.get(), actor=eva))
    assert status == 200
    assert [(name, number, body["state"]) for name, number, body in events] == [
        ("round", "1", "draft"),
        ("round", "2", "cancelled"),
    ]


def test_a_single_answer_is_heard_without_waiting_for_the_next_look(
    project, base, eva, ana, client_of, monkeypatch
):
    monkeypatch.setattr(streaming, "LOOK_EVERY", 60.0)
    batch = demonstration_batch(project, tasks=2)
    round_ = RoundFactory(
        project=project, opponent=base, created_by=eva, state="demonstrating", demonstration_batch=batch
    )
    me = Labeler(client_of(ana), project)

    def answer():
        time.sleep(0.3)  # The stream listens by now; what was said before it did is in its first look.
        assert me.submit(me.take(), text="Dear bridge").status_code == 201

    url = f"/api/v1/rounds/{round_.pk}/events/"
    _, events = follow(eva, url, meanwhile=answer, until=lambda events: len(events) == 2, seconds=10)
    assert [body["steps"][0]["done"] for _, _, body in events] == [0, 1]


def test_the_body_is_that_of_rest(client_of, project, base, ria):
    round_ = RoundFactory(project=project, opponent=base, state="dropped")
    _, events = follow(ria, f"/api/v1/rounds/{round_.pk}/events/")
    assert events == [("round", "1", client_of(ria).get(f"/api/v1/rounds/{round_.pk}/").json())]


def test_a_run_sends_rows_as_they_come_and_closes_when_it_ended(queued, weights, ria):
    run = queued()
    MetricFactory(run=run, step=1, fence=0)
    _, events = follow(ria, f"/api/v1/runs/{run.pk}/events/", meanwhile=lambda: trained(run, weights))
    names = [name for name, _, _ in events]
    assert names[:2] == ["metrics", "run"]
    assert events[0][1:] == ("0:1", {"rows": [{"step": 1, "values": {"progress": 0.5, "sft/loss": 2.5}}]})
    assert (events[-1][0], events[-1][2]["state"]) == ("run", "succeeded")


def test_after_a_break_only_the_rows_that_the_client_lacks(queued, ria, eva):
    run = queued()
    claim_run(run.pk)
    record_metrics(run_id=run.pk, fence=1, rows=[{"step": n, "sft/loss": 1.0} for n in (1, 2, 3)])
    url = f"/api/v1/runs/{run.pk}/events/"
    enough = {"until": lambda events: len(events) >= 2}

    def rows(**headers):
        _, events = follow(ria, url, **enough, **headers)
        return [row["step"] for name, _, body in events if name == "metrics" for row in body["rows"]]

    assert rows() == [1, 2, 3]
    assert rows(**{"Last-Event-ID": "0:2"}) == [1, 2, 3]  # of another attempt: all again
    assert rows(**{"Last-Event-ID": "nonsense"}) == [1, 2, 3]
    enough["until"] = lambda events: len(events) >= 2
    assert rows(**{"Last-Event-ID": "1:2"}) == [3]


def test_who_may_not(queued, project, base, ana, zoe, rex):
    run = queued()
    round_ = RoundFactory(project=project, opponent=base)
    for url in (f"/api/v1/runs/{run.pk}/events/", f"/api/v1/rounds/{round_.pk}/events/"):
        for user, status, code in (
            (None, 401, "not_authenticated"), (ana, 403, "role_too_low"), (zoe, 404, "not_found"), (rex, 404, "not_found"),
        ):  # fmt: skip
            answer, body = follow(user, url)
            assert (answer, body["code"]) == (status, code)


def test_a_token_may_read_with_its_scope(project, base, ria):
    round_ = RoundFactory(project=project, opponent=base, state="dropped")
    for scopes, status in ((["read"], 200), (["export:read"], 403)):
        _, secret = create_token(user=ria, name="script", scopes=scopes)
        answer, _ = follow(None, f"/api/v1/rounds/{round_.pk}/events/", Authorization=f"Bearer {secret}")
        assert answer == status


def test_it_ends_after_a_while_so_that_who_asks_is_looked_at_again(project, base, ria, monkeypatch):
    monkeypatch.setattr(streaming, "LONGEST", 0.0)
    round_ = RoundFactory(project=project, opponent=base)
    began = time.monotonic()
    _, events = follow(ria, f"/api/v1/rounds/{round_.pk}/events/", seconds=8)
    assert [body["state"] for _, _, body in events] == ["draft"]
    assert time.monotonic() - began < 4  # closed by the server; without that it goes on for all of the 8 s


def test_only_get(client_of, project, base, eva):
    round_ = RoundFactory(project=project, opponent=base)
    answer = client_of(eva).post(f"/api/v1/rounds/{round_.pk}/events/", {})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_it_is_never_stored(project, base, ria):
    async def ask():
        client = AsyncClient()
        await client.aforce_login(ria)
        response = await client.get(url)
        async for _ in response.streaming_content:
            pass
        return response

    url = f"/api/v1/rounds/{RoundFactory(project=project, opponent=base, state='dropped').pk}/events/"
    response = async_to_sync(ask)()
    assert (response["Content-Type"], response["Cache-Control"]) == ("text/event-stream", "no-store")


def test_whoever_is_removed_sees_nothing_further(project, base, ria, eva):
    round_ = RoundFactory(project=project, opponent=base, created_by=eva)

    def remove():
        ria.memberships.all().delete()
        rounds.set_automatic(round=round_, automatic=True, actor=eva)

    _, events = follow(ria, f"/api/v1/rounds/{round_.pk}/events/", meanwhile=remove, seconds=8)
    assert [body["automatic"] for _, _, body in events] == [False]
