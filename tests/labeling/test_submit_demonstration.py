import pytest

from labeling.models import Batch, Demonstration, Task
from labeling.selectors import batch_progress
from tests.labeling.factories import demonstration_batch


@pytest.fixture
def me(works, project, ana):
    demonstration_batch(project, tasks=2)
    return works(ana)


@pytest.mark.parametrize(
    "text", ["Dear Mother,\r\n\tall is well. ", " \u202e\u200bé e\u0301 写 \U0001f600 ", "x" * 65_536]
)
def test_what_is_written_is_stored_exactly(me, text):
    task = me.take()
    assert me.submit(task, text=text).status_code == 201
    assert Demonstration.objects.get().text == text
    assert me.get(task).json()["answer"]["text"] == text


def test_it_counts_and_completes_the_task(me):
    me.submit(me.take(), text="Dear")
    assert batch_progress(Batch.objects.get()) == (1, 2)
    assert Task.objects.filter(state="complete").count() == 1


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 422, "text_empty"),
        (" \n\t", 422, "text_empty"),
        ("é" * 40_000, 422, "text_too_long"),
        ("a\x00", 400, "bad_text"),
    ],
)
def test_what_cannot_be_an_answer_is_refused(me, text, status, code):
    refused = me.submit(me.take(), text=text)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert not Demonstration.objects.exists()


def test_half_a_character_never_arrives(me):
    task = me.take()
    url = f"/api/v1/assignments/{task['id']}/submit/"
    headers = {"Idempotency-Key": "k" * 8}
    answer = me.client.post(url, b'{"text": "\\ud800"}', content_type="application/json", headers=headers)
    assert answer.status_code == 400


def test_a_correction_keeps_the_first_text(me):
    task = me.take()
    me.submit(task, text="first")
    assert me.submit(task, text="second").json()["answer"]["revision"] == 2
    assert list(Demonstration.objects.order_by("revision").values_list("text", "is_latest")) == [
        ("first", False),
        ("second", True),
    ]


@pytest.mark.parametrize("field", ["likert", "confidence"])
def test_what_belongs_to_rankings_is_refused(me, field):
    body = {"likert": {}} if field == "likert" else {"confidence": 3}
    assert me.submit(me.take(), text="Dear", **body).status_code == 400


def test_time_is_kept(me, clock):
    task = me.take()
    clock.advance(minutes=2)
    me.submit(task, text="Dear", active_ms=61_000)
    assert Demonstration.objects.get().active_ms == 61_000
