"""How many statements a labeler's request costs: session, user and transaction control are counted too."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.labeling.factories import demonstration_batch, ranking_batch

pytestmark = pytest.mark.django_db(transaction=True)


def counted(act, at_most):
    with CaptureQueriesContext(connection) as queries:
        answer = act()
    assert answer.status_code < 300, answer.json()
    said = "\n".join(query["sql"].strip()[:100].replace("\n", " ") for query in queries.captured_queries)
    assert len(queries) <= at_most, said
    return answer.json()


def test_next_takes_at_most_eight(works, project, ana):
    ranking_batch(project, tasks=2)
    me = works(ana)
    counted(me.next, 8)
    counted(lambda: me.next(prefetch=True), 8)
    counted(me.next, 7)


def test_an_empty_next_takes_at_most_eight(works, ana):
    assert counted(works(ana).next, 8)["empty"]["reason"] == "no_open_tasks"


def test_a_draft_takes_at_most_five(works, project, ana):
    ranking_batch(project)
    me = works(ana)
    task = me.take()
    saved = counted(lambda: me.save(task, {"text": "a"}, **{"If-None-Match": "*"}), 5)
    counted(lambda: me.save(task, {"text": "b"}, **{"If-Match": f'"{saved["revision"]}"'}), 5)


def test_a_submit_with_the_next_task_takes_at_most_fourteen(works, project, ana):
    ranking_batch(project, tasks=3, texts=("a", "a ", "b", "c"))
    me = works(ana)
    task = me.take()
    following = counted(lambda: me.rank(task, next={"kinds": ["ranking"]}), 14)["next"]["assignment"]
    assert following["id"] != task["id"]
    me.take(prefetch=True)
    counted(lambda: me.rank(following, next={}), 14)


def test_a_demonstration_with_the_next_task_takes_at_most_fourteen(works, project, ana):
    demonstration_batch(project, tasks=2)
    me = works(ana)
    task = me.take()
    assert counted(lambda: me.submit(task, text="Dear", next={}), 14)["next"]["assignment"]


def test_the_own_list_does_not_grow_with_its_length(works, project, ana):
    ranking_batch(project, tasks=8)
    me = works(ana)
    for _ in range(2):
        me.rank(me.take())
    counted(lambda: me.client.get("/api/v1/assignments/"), 5)
    for _ in range(6):
        me.rank(me.take())
    assert len(counted(lambda: me.client.get("/api/v1/assignments/?state=submitted"), 5)) == 8
