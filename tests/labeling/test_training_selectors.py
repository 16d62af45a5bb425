import json
from datetime import timedelta

import pytest
from django.utils.timezone import now

from accounts.services import change_member, pseudonym
from labeling.formats import preference, prompts, rankings, sft
from labeling.models import Ranking
from labeling.pairs import pairs_of
from labeling.selectors import (
    canonical_demonstration,
    canonical_prompt,
    canonical_ranking,
    demonstrations_for_training,
    prompts_for_training,
    rankings_for_training,
)
from labeling.services.batches import freeze
from tests.labeling.factories import demonstration_batch, ranking_batch


@pytest.fixture
def ranked(works, project, ana):
    """ana: good > fair = also fair (a copy) > bad."""
    batch = ranking_batch(project, texts=("bad", "fair", "good", "fair "))
    me = works(ana)
    task = me.take()
    by_text = {one["text"].strip(): one["id"] for one in task["candidates"]}
    me.submit(
        task, tiers=[[by_text["good"]], [by_text["fair"]], [by_text["bad"]]], likert={by_text["good"]: 6}
    )
    return batch


def records(project):
    return [canonical_ranking(row) for row in rankings_for_training(project, as_of=now())]


def test_the_canonical_ranking_has_everything(project, ranked, ana):
    (record,) = records(project)
    ranking = Ranking.objects.get()
    text = {one["id"]: one["content"] for one in record["responses"]}
    assert {text[one]: rank for one, rank in record["ranks"].items()} == {
        "good": 1,
        "fair": 2,
        "fair ": 2,
        "bad": 3,
    }
    assert [text[one] for one in record["forced"]] == ["fair "]
    assert {text[one]: score for one, score in record["scores"].items()} == {"good": {"overall": 6}}
    assert (record["id"], record["group_id"]) == (str(ranking.pk), str(ranking.task_id))
    assert record["batch"] == str(ranked.pk)
    assert record["prompt"][0]["role"] == "user"
    assert record["labeler"] == pseudonym(project, ana.pk)
    assert (record["pool"], record["guideline"], record["weight"]) == ("train", "v1", 1.0)
    assert record["responses"][0]["policy"].startswith("secret-model")
    assert record["display_order"] == ranking.display_order
    change_member(project=project, user_id=ana.pk, actor=ana, weight=0.25)
    assert [{**record, "weight": 0.25}] == records(project)
    said = json.dumps(record)
    assert str(ana.pk) not in said
    assert "ana" not in record["labeler"]


def test_reading_many_takes_no_more_statements(works, project, ana, django_assert_num_queries):
    ranking_batch(project, tasks=6)
    me = works(ana)
    for _ in range(6):
        me.rank(me.take())
    with django_assert_num_queries(3):
        assert len(records(project)) == 6


def test_held_out_labelers_never_train(works, project, ana):
    project.memberships.filter(user=ana).update(pool="heldout")
    ranking_batch(project)
    demonstration_batch(project)
    me = works(ana)
    me.rank(me.take(kinds=["ranking"]))
    me.submit(me.take(kinds=["demonstration"]), text="Dear")
    assert records(project) == []
    assert not demonstrations_for_training(project, as_of=now()).exists()


def test_late_answers_never_train(works, project, ana):
    batch = ranking_batch(project)
    me = works(ana)
    task = me.take()
    freeze(batch=batch)
    me.rank(task)
    assert records(project) == []


def test_the_revision_of_that_moment_trains(works, project, ana):
    ranking_batch(project)
    me = works(ana)
    task = me.take()
    me.rank(task)
    between = now()
    me.rank(task)
    assert [row.revision for row in rankings_for_training(project, as_of=between)] == [1]
    assert [row.revision for row in rankings_for_training(project, as_of=now())] == [2]
    assert not rankings_for_training(project, as_of=between - timedelta(hours=1)).exists()


def test_demonstrations_and_prompts(works, project, ana):
    demonstration_batch(project)
    me = works(ana)
    me.submit(me.take(), text=" Dear\r\n")
    (record,) = [canonical_demonstration(row) for row in demonstrations_for_training(project, as_of=now())]
    assert [turn["role"] for turn in record["messages"]] == ["user", "assistant"]
    assert record["messages"][-1]["content"] == " Dear\r\n"
    (prompt,) = [canonical_prompt(row) for row in prompts_for_training(project, as_of=now())]
    assert prompt["id"] == record["prompt_id"]
    assert list(sft(record)) == [
        {
            "id": record["id"],
            "group_id": record["group_id"],
            "split": record["split"],
            "messages": record["messages"],
            "labeler": record["labeler"],
            "is_synthetic": False,
        }
    ]
    (row,) = prompts(prompt)
    assert (row["prompt"], row["id"]) == (prompt["prompt"], prompt["id"])


def test_pairs_are_strict_and_copies_count_once(project, ranked):
    (record,) = records(project)
    text = {one["id"]: one["content"] for one in record["responses"]}
    found = {(text[pair.better], text[pair.worse], pair.gap) for pair in pairs_of(record)}
    assert found == {("good", "fair", 1), ("good", "bad", 2), ("fair", "bad", 1)}
    assert len(pairs_of(record)) == 3


def test_preference_rows_are_what_trl_reads(project, ranked):
    (record,) = records(project)
    rows = list(preference(record))
    assert len(rows) == 3
    for row in rows:
        assert row["prompt"] == record["prompt"]
        assert [turn["role"] for turn in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]
        assert row["group_id"] == record["group_id"]
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]): row["margin"] for row in rows} == {
        ("good", "fair"): 1.0,
        ("good", "bad"): 2.0,
        ("fair", "bad"): 1.0,
    }
    assert len({row["id"] for row in rows}) == 3


def test_ties_give_no_pair(works, project, ana):
    ranking_batch(project)
    me = works(ana)
    task = me.take()
    me.submit(task, tiers=[[one["id"] for one in task["candidates"]]])
    (record,) = records(project)
    assert list(preference(record)) == []
    assert list(rankings(record)) == [record]


def test_pairs_and_ranks_tell_the_same(project, ranked):
    """Round trip: the order can be rebuilt from the pairs, up to ties."""
    (record,) = records(project)
    beaten = {one["id"]: 0 for one in record["responses"] if one["id"] not in record["forced"]}
    for pair in pairs_of(record):
        beaten[pair.worse] += 1
    assert sorted(beaten, key=beaten.__getitem__) == sorted(beaten, key=record["ranks"].__getitem__)
