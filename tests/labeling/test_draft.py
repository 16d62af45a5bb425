import pytest

from labeling.models import Draft
from tests.labeling.factories import ranking_batch

FIRST = {"If-None-Match": "*"}


@pytest.fixture
def me(works, project, ana):
    ranking_batch(project)
    return works(ana)


def test_it_is_kept_word_for_word(me):
    task = me.take()
    content = {
        "text": " a\r\n\u202eb\u200b ",
        "tiers": [["x"], []],
        "note": "",
        "n": 1.5,
        "deep": {"a": [None, True]},
    }
    saved = me.save(task, content, **FIRST)
    assert (saved.status_code, saved.json()["revision"], saved["ETag"]) == (200, 1, '"1"')
    assert me.get(task, "draft/").json()["content"] == content
    assert me.get(task).json()["draft"]["content"] == content


def test_each_save_is_a_new_revision(me):
    task = me.take()
    me.save(task, {"text": "a"}, **FIRST)
    saved = me.save(task, {"text": "b"}, **{"If-Match": '"1"'})
    assert (saved.status_code, saved["ETag"]) == (200, '"2"')


def test_a_stale_writer_gets_the_newer_draft(me):
    task = me.take()
    me.save(task, {"text": "a"}, **FIRST)
    me.save(task, {"text": "b"}, **{"If-Match": '"1"'})
    for condition in ({"If-Match": '"1"'}, FIRST):
        refused = me.save(task, {"text": "c"}, **condition)
        assert (refused.status_code, refused.json()["code"]) == (412, "draft_stale")
        assert refused.json()["extra"]["draft"]["content"] == {"text": "b"}
        assert refused.json()["extra"]["draft"]["revision"] == 2
    assert Draft.objects.get().content == {"text": "b"}


def test_a_writer_must_say_what_is_replaced(me):
    refused = me.save(me.take(), {"text": "a"})
    assert (refused.status_code, refused.json()["code"]) == (428, "precondition_required")


def test_a_condition_that_is_no_revision_is_an_error(me):
    assert me.save(me.take(), {}, **{"If-Match": "abc"}).status_code == 400


def test_no_draft_is_404_with_a_code(me):
    answer = me.get(me.take(), "draft/")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_draft")


def test_after_the_lease_ended_it_may_still_be_saved(me, clock):
    task = me.take()
    clock.advance(hours=3)
    assert me.save(task, {"text": "a"}, **FIRST).status_code == 200


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"text": "a\x00b"}, "nul"),
        ({"a\x00": 1}, "nul"),
        ({"text": "x" * 300_000}, "too_long"),
        ({"text": ["x" * 90_000] * 3}, "draft_too_large"),
        ({"a": [[[[[[[[[1]]]]]]]]]}, "too_deep"),
    ],
)
def test_what_cannot_be_stored_exactly_is_refused(me, content, code):
    answer = me.save(me.take(), content, **FIRST)
    assert answer.status_code == 400
    assert code in (answer.json()["code"], answer.json().get("errors", [{}])[0].get("code"))
    assert not Draft.objects.exists()


def test_half_a_character_is_refused(me):
    task = me.take()
    url = f"/api/v1/assignments/{task['id']}/draft/"
    body = b'{"content": {"text": "\\ud800"}}'
    assert me.client.put(url, body, content_type="application/json", headers=FIRST).status_code == 400


@pytest.mark.parametrize("who", ["ben", "eva", "zoe", "rex"])
def test_nobody_else_reads_or_writes_it(request, me, works, who):
    task = me.take()
    me.save(task, {"text": "mine"}, **FIRST)
    other = works(request.getfixturevalue(who))
    assert other.get(task, "draft/").status_code == 404
    assert other.save(task, {"text": "theirs"}, **{"If-Match": '"1"'}).status_code == 404


def test_a_submit_forgets_it(me):
    task = me.take()
    me.save(task, {"text": "a"}, **FIRST)
    me.rank(task)
    assert not Draft.objects.exists()
