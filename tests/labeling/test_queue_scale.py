"""The hand-out reads a few rows however long the queue is and however much this labeler did of it."""

import json

import pytest
from django.db import connection

from labeling.services.hand_out import HAND_OUT, WINDOW, parameters
from tests.labeling.factories import BatchFactory

pytestmark = pytest.mark.django_db

# Task n has priority 1 up to `urgent`, so those come first, and slots 0 .. 2.
FILL = """
INSERT INTO labeling_prompt (id, project_id, messages, digest, owner_key, split, source, external_id, tags, prefix_digest, pii,
    created_at)
SELECT gen_random_uuid(), %(project)s, '[]', n::text, '', 'train', 'imported', n::text, '[]', '', '[]', now()
FROM generate_series(1, %(tasks)s) n;
INSERT INTO labeling_task (id, batch_id, project_id, kind, prompt_id, copy, state, priority, created_at)
SELECT gen_random_uuid(), %(batch)s, %(project)s, 'ranking', id, 0, 'open', (external_id::int <= %(urgent)s)::int, now()
FROM labeling_prompt WHERE project_id = %(project)s AND external_id <> '';
INSERT INTO labeling_slot (task_id, number, project_id, kind, priority, rnd, is_open, answered)
SELECT t.id, k, t.project_id, t.kind, t.priority, gen_random_uuid(), true, false
FROM labeling_task t, generate_series(0, 2) k WHERE t.batch_id = %(batch)s;
ANALYZE labeling_prompt, labeling_task, labeling_slot
"""
ANSWER_URGENT = """
UPDATE labeling_slot SET is_open = false, answered = true, labeler_id = %(labeler)s
WHERE project_id = %(project)s AND number = 0 AND priority = 1;
INSERT INTO labeling_assignment (id, task_id, slot_id, project_id, labeler_id, kind, state, seat, leased_at, lease_until,
    renewals, display_order, guideline_version, active_ms, created_at, ended_at)
SELECT gen_random_uuid(), task_id, id, project_id, labeler_id, kind, 'submitted', 0, now() + (rnd_place * interval '1 ms'),
    now(), 0, '[]', 1, 0, now(), now()
FROM (SELECT *, row_number() OVER (ORDER BY rnd DESC) AS rnd_place FROM labeling_slot WHERE answered) AS s;
ANALYZE labeling_slot, labeling_assignment
"""


@pytest.fixture
def queue(project):
    batch = BatchFactory(project=project, overlap=3, quota=1)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"project": project.pk, "batch": batch.pk, "tasks": 10_000, "urgent": 7_000})
    return batch


def explain(project, labeler, kinds=("ranking",)):
    asked = parameters(project=project, labeler=labeler, kinds=kinds, prefetch=False)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + HAND_OUT, asked)
        found = cursor.fetchone()[0]
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def slots_read(plan):
    """Rows of the slot table that the statement looked at, those it threw away included."""
    total = 0
    for node in nodes(plan):
        if node.get("Relation Name") == "labeling_slot" and "Scan" in node["Node Type"]:
            rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            total += rows * node["Actual Loops"]
    return total


def scans(plan):
    return {
        (node["Node Type"], node.get("Index Name")) for node in nodes(plan) if "Scan" in node["Node Type"]
    }


def test_a_fresh_labeler_reads_one_window(project, queue, ana):
    plan = explain(project, ana)
    assert ("Index Scan", "slot_free") in {(kind, index) for kind, index in scans(plan)} or (
        "Index Scan Backward",
        "slot_free",
    ) in scans(plan)
    assert slots_read(plan) <= 4 * WINDOW


def test_who_answered_the_first_seven_thousand_at_overlap_three_reads_little_more(project, queue, ana, ben):
    with connection.cursor() as cursor:
        cursor.execute(ANSWER_URGENT, {"project": project.pk, "labeler": ana.pk})
    mine, fresh = slots_read(explain(project, ana)), slots_read(explain(project, ben))
    # 14,000 free slots at the head of the queue are not for ana; one reading of the head tells that, the rest goes on
    # from where she was.
    assert mine <= fresh + 20 * WINDOW
    assert not any(
        kind == "Seq Scan" and node == "labeling_slot" for kind, node in scans(explain(project, ana))
    )


def test_an_empty_kind_costs_nothing(project, queue, ana):
    assert slots_read(explain(project, ana, ["demonstration"])) == 0
