import json
from uuid import uuid4

import pytest

from accounts.models import Event
from labeling.models import Assignment, RankedItem, Ranking, Slot, Tally, Task
from labeling.services.batches import cancel, freeze
from tests.labeling.factories import demonstration_batch, ranking_batch


@pytest.fixture
def batch(project):
    return ranking_batch(project, tasks=2, texts=("good", "fair", "bad"))


@pytest.fixture
def me(batch, works, ana):
    return works(ana)


def ids(task):
    return [candidate["id"] for candidate in task["candidates"]]


def test_it_works(me, ana):
    task = me.take()
    best, *rest = ids(task)
    answer = me.submit(task, tiers=[[best], rest], likert={best: 7}, confidence=4, note=" as is ")
    assert answer.status_code == 201
    assert answer.json()["answer"]["status"] == "submitted"
    assert answer.json()["next"] is None
    ranking = Ranking.objects.get()
    assert (ranking.labeler, ranking.note, ranking.confidence, ranking.pool) == (ana, " as is ", 4, "train")
    assert ranking.display_order == ids(task)
    items = {str(item.candidate_id): (item.rank, item.likert) for item in ranking.items.all()}
    assert items == {best: (1, 7), rest[0]: (2, None), rest[1]: (2, None)}
    assert Slot.objects.filter(answered=True, is_open=False, labeler=ana).count() == 1
    assert sorted(Task.objects.values_list("state", flat=True)) == ["complete", "open"]
    assert Assignment.objects.get().state == "submitted"
    assert Tally.objects.get().answers == 1


def test_the_answer_can_be_read_again(me):
    task = me.take()
    a, b, c = ids(task)
    me.submit(task, tiers=[[b], [], [a, c]], likert={a: 2}, confidence=5, note="n")
    answer = me.get(task).json()["answer"]
    assert [set(tier) for tier in answer["tiers"]] == [{b}, {a, c}]
    assert (answer["likert"], answer["confidence"], answer["note"]) == ({a: 2}, 5, "n")
    assert (answer["status"], answer["revision"], answer["text"]) == ("submitted", 1, None)
    (line,) = me.client.get("/api/v1/assignments/?state=submitted").json()
    assert line["answer"]["id"] == answer["id"]
    assert line["editable"] is True


def test_the_next_task_comes_along(me):
    task = me.take()
    following = me.rank(task, next={"kinds": ["ranking"]}).json()["next"]
    assert following["assignment"]["id"] != task["id"]
    assert me.rank(following["assignment"], next={}).json()["next"]["empty"]["reason"] == "no_open_tasks"


def test_the_task_fetched_ahead_is_the_next(me):
    task, ahead = me.take(), me.take(prefetch=True)
    assert me.rank(task, next={}).json()["next"]["assignment"]["id"] == ahead["id"]


def test_identical_texts_are_stored_as_forced_ties(works, project, ana):
    ranking_batch(project, texts=("same", "other", " same"))
    me = works(ana)
    task = me.take()
    first, second = ids(task)
    assert me.submit(task, tiers=[[second], [first]], likert={first: 3}).status_code == 201
    items = {item.candidate.completion.text: item for item in RankedItem.objects.all()}
    assert len(items) == 3
    assert items["same"].rank == items[" same"].rank
    assert [text for text, item in items.items() if item.is_forced] == [" same"]
    answer = me.get(task).json()["answer"]
    assert answer["tiers"] == [[second], [first]]


# What is checked.


@pytest.mark.parametrize(
    ("tiers", "code"),
    [
        (lambda a, b, c: [[a], [b]], "ranking_incomplete"),
        (lambda a, b, c: [], "ranking_incomplete"),
        (lambda a, b, c: [[a], [b], [c], [a]], "ranking_duplicate"),
        (lambda a, b, c: [[a, b], [c, c]], "ranking_duplicate"),
        (lambda a, b, c: [[a], [b], [c], [str(uuid4())]], "ranking_unknown_candidate"),
        (lambda a, b, c: [[a], [b], [c], ["x"]], "ranking_unknown_candidate"),
    ],
)
def test_exactly_the_shown_candidates_are_ranked(me, tiers, code):
    task = me.take()
    refused = me.submit(task, tiers=tiers(*ids(task)))
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert refused.json()["extra"]["candidates"]
    assert not Ranking.objects.exists()
    assert me.rank(task).status_code == 201


def test_candidates_of_another_task_are_unknown(me):
    task, other = me.take(), me.take(prefetch=True)
    refused = me.submit(task, tiers=[ids(other)])
    assert refused.json()["code"] == "ranking_unknown_candidate"


def test_ties_can_be_ruled_out(me, batch):
    batch.allow_ties = False
    batch.save()
    task = me.take()
    a, b, c = ids(task)
    assert me.submit(task, tiers=[[a, b], [c]]).json()["code"] == "ties_not_allowed"
    assert me.submit(task, tiers=[[a], [b], [c]]).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"likert": {"x": 5}},
        {"confidence": 6},
        {"note": "a\x00"},
        {"note": 5},
        {"note": "x" * 10_001},
        {"active_ms": -1},
        {"active_ms": 10**12},
        {"next": {"kinds": ["essay"]}},
        {"round": 3},
        {"tiers": "abc"},
        {"text": "a text too"},
    ],
)
def test_other_bad_fields_are_named(me, body):
    task = me.take()
    refused = me.rank(task, **body)
    assert refused.status_code == 400, refused.json()
    assert not Ranking.objects.exists()


def test_likert_is_one_to_seven(me):
    task = me.take()
    assert me.rank(task, likert={ids(task)[0]: 8}).status_code == 400


def test_a_text_for_a_ranking_is_the_wrong_kind(me):
    assert me.submit(me.take(), text="Dear").json()["code"] == "wrong_kind"


def test_tiers_for_a_demonstration_are_the_wrong_kind(works, project, ana):
    demonstration_batch(project)
    me = works(ana)
    assert me.submit(me.take(), tiers=[]).json()["code"] == "wrong_kind"


# Twice.


def test_the_same_request_twice_is_one_answer(me):
    task = me.take()
    first = me.rank(task, key="a-key-of-mine", next={})
    again = me.rank(task, key="a-key-of-mine", next={})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["answer"] == first.json()["answer"]
    assert again.json()["next"]["assignment"]["id"] == first.json()["next"]["assignment"]["id"]
    assert (Ranking.objects.count(), Tally.objects.get().answers) == (1, 1)
    assert Event.objects.filter(kind="ranking.submitted").count() == 1


def test_the_key_is_honoured_after_the_freeze(me, batch):
    task = me.take()
    first = me.rank(task, key="a-key-of-mine")
    freeze(batch=batch)
    again = me.rank(task, key="a-key-of-mine")
    assert (again.status_code, again.json()["answer"]) == (200, first.json()["answer"])


def test_a_key_is_good_for_one_body(me):
    task = me.take()
    me.rank(task, key="a-key-of-mine")
    refused = me.rank(task, key="a-key-of-mine", note="changed")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    other = me.take()
    assert me.rank(other, key="a-key-of-mine").json()["code"] == "idempotency_key_reused"


def test_a_key_is_good_for_one_kind(me, works, project):
    demonstration_batch(project)
    me.rank(me.take(kinds=["ranking"]), key="a-key-of-mine")
    task = me.take(kinds=["demonstration"])
    assert me.submit(task, "a-key-of-mine", text="Dear").json()["code"] == "idempotency_key_reused"


def test_two_people_may_choose_the_same_key(me, works, ben):
    assert me.rank(me.take(), key="a-key-of-mine").status_code == 201
    other = works(ben)
    assert other.rank(other.take(), key="a-key-of-mine").status_code == 201


def test_a_refused_body_leaves_the_key_unused(me):
    task = me.take()
    me.submit(task, "a-key-of-mine", tiers=[])
    assert me.rank(task, key="a-key-of-mine").status_code == 201


@pytest.mark.parametrize("key", ["short", "x" * 201, "white space"])
def test_a_key_is_required_and_sound(me, key):
    task = me.take()
    assert me.rank(task, key=key).json()["code"] == "bad_idempotency_key"
    assert me.post(task, "submit", {"tiers": [ids(task)]}).json()["code"] == "bad_idempotency_key"


# Corrections.


def test_a_new_key_is_a_correction(me):
    task = me.take()
    a, b, c = ids(task)
    me.submit(task, tiers=[[a], [b], [c]])
    answer = me.submit(task, tiers=[[c], [b, a]]).json()["answer"]
    assert (answer["status"], answer["revision"]) == ("submitted", 2)
    old, new = Ranking.objects.order_by("revision")
    assert (old.is_latest, new.is_latest) == (False, True)
    assert {str(item.candidate_id): item.rank for item in old.items.all()} == {a: 1, b: 2, c: 3}
    assert {str(item.candidate_id): item.rank for item in new.items.all()} == {a: 2, b: 2, c: 1}
    assert Tally.objects.get().answers == 1
    assert me.get(task).json()["answer"]["revision"] == 2


def test_after_the_freeze_an_answer_cannot_be_changed(me, batch):
    task = me.take()
    me.rank(task)
    freeze(batch=batch)
    refused = me.rank(task)
    assert (refused.status_code, refused.json()["code"]) == (409, "batch_frozen")
    assert Ranking.objects.get().revision == 1


# Too late.


def test_a_lease_that_ended_counts_if_the_place_is_free(me, clock):
    task = me.take()
    clock.advance(hours=5)
    assert me.rank(task).json()["answer"]["status"] == "submitted"
    assert Tally.objects.get().answers == 1


def test_a_released_task_that_is_answered_after_all_counts(me):
    task = me.take()
    me.post(task, "release")
    assert me.rank(task).json()["answer"]["status"] == "submitted"


def test_a_place_that_is_gone_makes_the_answer_late(works, project, ana, ben, clock):
    ranking_batch(project)
    me, other = works(ana), works(ben)
    task = me.take()
    clock.advance(minutes=31)
    other.rank(other.take())
    answer = me.rank(task)
    assert (answer.status_code, answer.json()["answer"]["status"]) == (201, "late")
    assert Assignment.objects.get(labeler=ana).state == "late"
    assert Ranking.objects.get(labeler=ana).is_late
    assert Tally.objects.filter(labeler=ana).first() is None
    assert me.rank(task).json()["answer"] | {"id": ""} == {"id": "", "status": "late", "revision": 2}


def test_an_ended_lease_of_another_gives_its_place(works, project, ana, ben, clock):
    """ana's lease ends, ben takes the place, his ends too: whoever sends first has it."""
    ranking_batch(project)
    me, other = works(ana), works(ben)
    task = me.take()
    clock.advance(minutes=31)
    theirs = other.take()
    clock.advance(minutes=31)
    assert me.rank(task).json()["answer"]["status"] == "submitted"
    assert other.rank(theirs).json()["answer"]["status"] == "late"
    assert Event.objects.filter(kind="assignment.expired", subject=f"assignment:{theirs['id']}").exists()


@pytest.mark.parametrize("end", [freeze, cancel])
def test_a_first_answer_after_the_end_of_its_batch_is_kept_as_late(me, batch, end):
    task = me.take()
    end(batch=batch)
    assert me.rank(task).json()["answer"]["status"] == "late"
    assert Ranking.objects.get().is_late


# What it writes.


def test_it_records_ids_and_numbers_only(me):
    task = me.take()
    me.rank(task, note="a private word", active_ms=5)
    event = Event.objects.get(kind="ranking.submitted")
    assert event.subject == f"ranking:{Ranking.objects.get().pk}"
    assert event.data["task_complete"] is True
    assert "private" not in json.dumps(event.data)


def test_a_simulated_labelers_answer_is_marked(me, ana):
    task = me.take()
    type(ana).objects.filter(pk=ana.pk).update(is_synthetic=True)
    me.rank(task)
    assert Ranking.objects.get().is_synthetic


def test_the_pool_is_that_of_the_membership_now(me, project, ana):
    task = me.take()
    project.memberships.filter(user=ana).update(pool="heldout")
    me.rank(task)
    assert Ranking.objects.get().pool == "heldout"


def test_the_guideline_is_the_one_the_task_was_taken_under(me, project):
    task = me.take()
    type(project).objects.update(guideline_version=2)
    me.rank(task)
    assert Ranking.objects.get().guideline_version == 1
