"""The hand-out: one SQL statement that picks a free slot and leases it, so that nothing can be handed out twice.

Order: highest priority first, then `rnd` from the highest down. Kinds are tried in the order asked for. For each kind
the statement looks in five places, each only if those before gave nothing:

1. a task of which this labeler has a draft after the lease ended: people get their words back;
2. slots of others whose lease ended: they may be taken at once, whether or not the reaper came by;
3. the first WINDOW free slots in order;
4. the free slots after the one that this labeler took last;
5. all free slots.

Places 3 and 4 exist because of labelers who answered the first hundred thousand tasks at overlap 3: two of three
slots of those tasks are still free, at the head of the index, and not for them. Place 3 keeps the order strict as
long as fewer than WINDOW such slots stand before the next task; place 4 goes on where this labeler was; place 5
makes sure that no task is ever missed, and is read to its end only before "nothing for you".

`FOR UPDATE SKIP LOCKED` keeps labelers from waiting for each other. What stands behind it: unique slots per task and
labeler, one live lease per slot, one live lease per seat of a labeler (two seats: one open task, one fetched ahead).
The clock is PostgreSQL's: `statement_timestamp()`, which an index can be searched by, where `clock_timestamp()` can't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from accounts.models import Project, User
from labeling.choices import TaskKind

WINDOW = 64

LEASES: dict[str, timedelta] = {
    TaskKind.DEMONSTRATION: timedelta(minutes=90),
    TaskKind.RANKING: timedelta(minutes=30),
    TaskKind.COMPARISON: timedelta(minutes=30),
}
"""How long a lease lasts without a heartbeat."""


# An `expired` or `released` assignment does not bar its labeler: the task may come back to them, with its draft.
# OFFSET 0 keeps the planner from turning this into one hash of all that the labeler ever did.
NOT_BARRED = """NOT EXISTS (
    SELECT FROM labeling_assignment b
    WHERE b.task_id = s.task_id AND b.labeler_id = %(labeler)s AND b.state NOT IN ('expired', 'released') OFFSET 0)"""
FREE = "s.project_id = %(project)s AND s.kind = asked.kind AND s.is_open AND s.labeler_id IS NULL"
IN_ORDER = "ORDER BY s.priority DESC, s.rnd DESC"
ONE = "LIMIT 1 FOR UPDATE OF s SKIP LOCKED"

HAND_OUT = f"""
WITH mine AS MATERIALIZED (
    SELECT a.id, a.seat, a.leased_at, a.kind = ANY(%(kinds)s) AS fits
    FROM labeling_assignment a
    WHERE a.labeler_id = %(labeler)s AND a.project_id = %(project)s AND a.state = 'leased'
), held AS MATERIALIZED (
    SELECT id FROM mine
    WHERE (SELECT count(*) FROM mine) > 1 OR (fits AND NOT %(prefetch)s)
    ORDER BY fits DESC, CASE WHEN %(prefetch)s THEN -extract(epoch FROM leased_at) ELSE extract(epoch FROM leased_at) END
    LIMIT 1
), picked AS MATERIALIZED (
    SELECT chosen.id, chosen.task_id, asked.kind, asked.lease
    FROM (SELECT 1 WHERE NOT EXISTS (SELECT FROM held)) AS due,
    unnest(%(kinds)s::varchar[], %(leases)s::interval[]) AS asked(kind, lease),
    LATERAL (
        SELECT * FROM (
            SELECT s.id, s.task_id FROM labeling_assignment a JOIN labeling_slot s ON s.task_id = a.task_id
            WHERE a.labeler_id = %(labeler)s AND a.project_id = %(project)s AND a.state = 'expired'
              AND EXISTS (SELECT FROM labeling_draft d WHERE d.assignment_id = a.id) AND {FREE}
            ORDER BY a.ended_at DESC {ONE}
        ) AS again
        UNION ALL SELECT * FROM (
            SELECT s.id, s.task_id FROM labeling_slot s
            WHERE s.lease_until < statement_timestamp() AND s.is_open AND s.labeler_id <> %(labeler)s
              AND s.project_id = %(project)s AND s.kind = asked.kind AND {NOT_BARRED}
            {IN_ORDER} {ONE}
        ) AS ended
        UNION ALL SELECT * FROM (
            SELECT s.id, s.task_id FROM labeling_slot s
            WHERE s.id IN (SELECT s.id FROM labeling_slot s WHERE {FREE} {IN_ORDER} LIMIT {WINDOW}) AND {FREE}
              AND {NOT_BARRED}
            {IN_ORDER} {ONE}
        ) AS head
        UNION ALL SELECT onward.* FROM (
            SELECT o.priority, o.rnd FROM labeling_assignment a JOIN labeling_slot o ON o.id = a.slot_id
            WHERE a.labeler_id = %(labeler)s AND a.project_id = %(project)s AND a.kind = asked.kind
            ORDER BY a.leased_at DESC LIMIT 1
        ) AS last, LATERAL (
            SELECT s.id, s.task_id FROM labeling_slot s
            WHERE {FREE} AND (s.priority, s.rnd) < (last.priority, last.rnd) AND {NOT_BARRED}
            {IN_ORDER} {ONE}
        ) AS onward
        UNION ALL SELECT * FROM (
            SELECT s.id, s.task_id FROM labeling_slot s WHERE {FREE} AND {NOT_BARRED}
            {IN_ORDER} {ONE}
        ) AS anywhere
        LIMIT 1
    ) AS chosen
    LIMIT 1
), ended AS (
    UPDATE labeling_assignment a SET state = 'expired', ended_at = statement_timestamp()
    FROM picked WHERE a.slot_id = picked.id AND a.state = 'leased'
    RETURNING a.id
), taken AS (
    UPDATE labeling_slot s SET labeler_id = %(labeler)s, lease_until = statement_timestamp() + picked.lease
    FROM picked WHERE s.id = picked.id
), leased AS (
    INSERT INTO labeling_assignment (id, task_id, slot_id, project_id, labeler_id, kind, state, seat, leased_at,
        lease_until, renewals, display_order, guideline_version, active_ms, created_at)
    SELECT %(id)s, picked.task_id, picked.id, project.id, %(labeler)s, picked.kind, 'leased',
        CASE WHEN EXISTS (SELECT FROM mine WHERE seat = 0) THEN 1 ELSE 0 END,
        statement_timestamp(), statement_timestamp() + picked.lease, 0,
        COALESCE((
            SELECT jsonb_agg(c.id ORDER BY sha256(uuid_send(%(id)s) || project.salt || uuid_send(c.id)))
            FROM labeling_candidate c WHERE c.task_id = picked.task_id AND c.merged_into_id IS NULL
        ), '[]'),
        project.guideline_version, 0, statement_timestamp()
    -- The count makes sure that another's lease has ended before ours of the same slot begins.
    FROM picked, accounts_project project, (SELECT count(*) FROM ended) AS first
    WHERE project.id = %(project)s
    ON CONFLICT (task_id, labeler_id) DO UPDATE SET
        state = 'leased', slot_id = EXCLUDED.slot_id, seat = EXCLUDED.seat, leased_at = EXCLUDED.leased_at,
        lease_until = EXCLUDED.lease_until, renewals = 0, guideline_version = EXCLUDED.guideline_version, ended_at = NULL
    WHERE labeling_assignment.state IN ('expired', 'released')
    RETURNING id
)
SELECT (SELECT id FROM held), (SELECT id FROM leased), (SELECT id FROM picked), (SELECT id FROM ended)
"""  # noqa: S608 - composed of the constants above; every value is a parameter


@dataclass(frozen=True, slots=True)
class HandOut:
    """What one statement did. `held`: returned again. `leased`: new. `ended`: somebody else's lease that it took over."""

    held: UUID | None
    leased: UUID | None
    ended: UUID | None


class LostRace(Exception):
    """The labeler's own other tab changed the same task at the same moment: roll back and ask again."""


def parameters(*, project: Project, labeler: User, kinds: Sequence[str], prefetch: bool) -> dict[str, Any]:
    """What HAND_OUT is asked with; a test explains the statement with the same."""
    return {
        "id": uuid4(),
        "project": project.pk,
        "labeler": labeler.pk,
        "kinds": list(kinds),
        "leases": [LEASES[kind] for kind in kinds],
        "prefetch": prefetch,
    }


def hand_out(*, project: Project, labeler: User, kinds: Sequence[str], prefetch: bool) -> HandOut:
    """Run the statement. Raises LostRace, or IntegrityError where a constraint stopped a race; roll back then."""
    with connection.cursor() as cursor:
        asked = parameters(project=project, labeler=labeler, kinds=kinds, prefetch=prefetch)
        cursor.execute(HAND_OUT, asked)
        held, leased, picked, ended = cursor.fetchone()
    if picked is not None and leased is None:
        raise LostRace
    return HandOut(held=held, leased=leased, ended=ended)
