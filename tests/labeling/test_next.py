import json

import pytest
from django.db import connection

from accounts.models import Event
from labeling.identity import display_order
from labeling.models import Assignment, Slot, Task
from labeling.services.assignment import expire_leases
from labeling.services.batches import freeze
from tests.labeling.factories import PromptFactory, demonstration_batch, ranking_batch

KEYS = {
    "id", "state", "kind", "lease_until", "seconds_left", "created_at", "guideline_version", "prompt",
    "max_completion_tokens", "allow_ties", "batch", "draft", "progress", "candidates", "answer",
}  # fmt: skip
CANDIDATE_KEYS = {"id", "text", "tokens", "cut", "duplicates"}


def test_it_leases_a_task_with_everything_to_do_it(works, project, ana):
    ranking_batch(project, texts=("good", "bad"))
    task = works(ana).take()
    assert set(task) == KEYS
    assert task["state"] == "leased"
    assert task["kind"] == "ranking"
    assert 29 * 60 < task["seconds_left"] <= 30 * 60
    assert task["prompt"]["messages"][0]["role"] == "user"
    assert {one["text"] for one in task["candidates"]} == {"good", "bad"}
    assert task["max_completion_tokens"] == 64
    assert task["batch"] == {"title": "Letters"}
    assert task["progress"] == {"mine": 0, "done": 0, "quota": 1}
    assert task["draft"] is task["answer"] is None
    assert Slot.objects.get().labeler == ana


def test_what_a_labeler_gets_is_an_allow_list(works, project, ana):
    batch = ranking_batch(project, texts=("good", "good ", "bad"))
    me = works(ana)
    task = me.take()
    assert set(task) == KEYS
    assert all(set(one) == CANDIDATE_KEYS for one in task["candidates"])
    assert set(task["prompt"]) == {"messages", "tags"}
    said = json.dumps([task, me.get(task).json(), me.client.get("/api/v1/assignments/").json()])
    completions = [one.completion for one in batch.tasks.get().candidates.all()]
    for secret in [
        "secret-model",
        *(str(one.pk) for one in completions),
        *(str(one.version_id) for one in completions),
    ]:
        assert secret not in said
    after = me.rank(task, next={}).json()
    assert set(after) == {"answer", "next"}
    assert set(after["answer"]) == {"id", "status", "revision"}


def test_the_task_held_already_comes_again(works, project, ana):
    ranking_batch(project, tasks=3)
    me = works(ana)
    assert me.take()["id"] == me.take()["id"]
    assert Assignment.objects.count() == 1


def test_one_may_be_fetched_ahead_and_no_more(works, project, ana):
    ranking_batch(project, tasks=4)
    me = works(ana)
    first = me.take()
    second = me.take(prefetch=True)
    assert first["id"] != second["id"]
    assert me.take(prefetch=True)["id"] == second["id"]
    assert me.take()["id"] == first["id"]
    me.rank(first)
    assert me.take()["id"] == second["id"]


def test_kinds_are_tried_in_the_order_asked_for(works, project, ana, ben):
    ranking_batch(project)
    demonstration_batch(project)
    assert works(ana).take(kinds=["demonstration", "ranking"])["kind"] == "demonstration"
    assert works(ben).take(kinds=["demonstration", "ranking"])["kind"] == "ranking"


def test_asking_for_another_kind_takes_the_second_seat(works, project, ana):
    ranking_batch(project)
    demonstration_batch(project)
    me = works(ana)
    ranking, demonstration = me.take(kinds=["ranking"]), me.take(kinds=["demonstration"])
    assert (ranking["kind"], demonstration["kind"]) == ("ranking", "demonstration")
    assert me.take(kinds=["ranking"])["id"] == ranking["id"]


def test_higher_priority_comes_first(works, project, ana):
    batch = ranking_batch(project, tasks=5)
    urgent = batch.tasks.last()
    Slot.objects.filter(task=urgent).update(priority=1)
    assert Assignment.objects.get(pk=works(ana).take()["id"]).task == urgent


def test_the_order_shown_is_stored_differs_and_can_be_computed_again(works, project, ana, ben):
    ranking_batch(project, texts=[f"answer {n}" for n in range(9)], overlap=2)
    orders = []
    for user in (ana, ben):
        task = works(user).take()
        assignment = Assignment.objects.get(pk=task["id"])
        ids = list(assignment.task.candidates.values_list("pk", flat=True))
        again = [str(one) for one in display_order(assignment.pk, bytes(project.salt), ids)]
        assert [one["id"] for one in task["candidates"]] == assignment.display_order == again
        orders.append(again)
    assert orders[0] != orders[1]


def test_identical_texts_are_shown_once(works, project, ana):
    ranking_batch(project, texts=("café", "cafe\u0301 ", "tea", "café\n"))
    shown = {one["text"].strip(): one["duplicates"] for one in works(ana).take()["candidates"]}
    assert shown == {"café": 2, "tea": 0}


def test_tokens_and_the_cut_are_told_but_not_the_ids(works, project, ana):
    batch = ranking_batch(project, texts=("a", "b"))
    for candidate in batch.tasks.get().candidates.all():
        candidate.completion.token_ids = [5, 6, 7]
        candidate.completion.finish_reason = "length"
        candidate.completion.save()
    assert {(one["tokens"], one["cut"]) for one in works(ana).take()["candidates"]} == {(3, True)}


def test_nobody_gets_a_task_twice(works, project, ana):
    ranking_batch(project, tasks=3, overlap=3)
    me = works(ana)
    seen = set()
    while task := me.next().json()["assignment"]:
        seen.add(Assignment.objects.get(pk=task["id"]).task_id)
        me.rank(task)
    assert len(seen) == 3


def test_overlap_is_never_exceeded(works, project, ana, ben, ria):
    ranking_batch(project, overlap=2)
    assert works(ana).take()
    assert works(ben).take()
    empty = works(ria).next().json()
    assert empty["assignment"] is None
    assert empty["empty"]["reason"] == "all_leased"


# Empty answers say why.


def test_no_open_tasks(works, ana):
    empty = works(ana).next().json()["empty"]
    assert empty["reason"] == "no_open_tasks"
    assert empty["detail"]


def test_all_leased_says_when_to_come_again(works, project, ana, ben):
    ranking_batch(project)
    works(ana).take()
    empty = works(ben).next().json()["empty"]
    assert empty["reason"] == "all_leased"
    assert 29 * 60 <= empty["retry_after_s"] <= 30 * 60


def test_all_done_by_you(works, project, ana):
    ranking_batch(project, overlap=2)
    me = works(ana)
    me.rank(me.take())
    assert me.next().json()["empty"]["reason"] == "all_done_by_you"


def test_a_frozen_batch_is_not_handed_out(works, project, ana):
    freeze(batch=ranking_batch(project))
    assert works(ana).next().json()["empty"]["reason"] == "no_open_tasks"


# Leases that end.


def test_an_ended_lease_may_be_taken_at_once(works, project, ana, ben, clock):
    ranking_batch(project)
    lost = works(ana).take()
    clock.advance(minutes=31)
    taken = works(ben).take()
    assert Assignment.objects.get(pk=lost["id"]).state == "expired"
    assert Slot.objects.get().labeler == ben
    assert taken["id"] != lost["id"]
    assert Event.objects.filter(kind="assignment.expired", subject=f"assignment:{lost['id']}").exists()


def test_a_lease_that_has_not_ended_may_not(works, project, ana, ben, clock):
    ranking_batch(project)
    works(ana).take()
    clock.advance(minutes=29)
    assert works(ben).next().json()["assignment"] is None


def test_whoever_comes_back_first_goes_on(works, project, ana, clock):
    ranking_batch(project, tasks=2)
    task = works(ana).take()
    clock.advance(minutes=31)
    again = works(ana).take()
    assert again["id"] == task["id"]
    assert again["seconds_left"] > 29 * 60


def test_the_reaper_frees_slots_and_keeps_drafts(works, project, ana, clock):
    ranking_batch(project, tasks=5)
    me = works(ana)
    task = me.take()
    me.save(task, {"tiers": []}, **{"If-None-Match": "*"})
    assert expire_leases() == 0
    clock.advance(minutes=31)
    assert expire_leases() == 1
    assert expire_leases() == 0
    assert not Slot.objects.filter(labeler__isnull=False).exists()
    again = me.take()
    assert (again["id"], again["draft"]["content"]) == (task["id"], {"tiers": []})


def test_demonstrations_are_leased_for_ninety_minutes(works, project, ana):
    demonstration_batch(project)
    task = works(ana).take()
    assert 89 * 60 < task["seconds_left"] <= 90 * 60
    assert task["candidates"] == []


# Who may, and what it writes.


@pytest.mark.parametrize("who", ["zoe", "rex"])
def test_a_stranger_gets_404(request, works, project, who):
    ranking_batch(project)
    assert works(request.getfixturevalue(who)).next().status_code == 404
    assert not Assignment.objects.exists()


def test_nobody_gets_401(works, project):
    assert works(None).next().status_code == 401


def test_an_unknown_kind_is_an_error_that_names_the_field(works, ana):
    answer = works(ana).next(kinds=["essay"])
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith("kinds")


def test_an_unknown_field_is_an_error(works, ana):
    assert works(ana).next(kind="ranking").status_code == 400


def test_a_new_lease_records_an_event_and_an_old_one_none(works, project, ana):
    ranking_batch(project)
    task = works(ana).take()
    works(ana).take()
    assert list(Event.objects.filter(kind="assignment.leased").values_list("subject", flat=True)) == [
        f"assignment:{task['id']}"
    ]


def test_tasks_of_other_projects_are_never_handed_out(works, other_project, ana):
    ranking_batch(other_project)
    assert works(ana).next().json()["assignment"] is None


def test_a_prompt_of_another_project_makes_no_task(project, other_project, ana):
    from labeling.services.batches import open_demonstration_batch

    stranger = PromptFactory(project=other_project)
    open_demonstration_batch(project=project, prompts=type(stranger).objects.all(), quota=1)
    assert not Task.objects.exists()


def test_constraints_stand_behind_the_statement(project, ana):
    """The statement alone keeps the rules; if it ever failed to, the tables would refuse."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint UNION SELECT indexname FROM pg_indexes")
        names = {name for (name,) in cursor.fetchall()}
    assert {"one_live_lease_per_slot", "one_live_lease_per_seat", "one_slot_per_task_and_labeler"} <= names
