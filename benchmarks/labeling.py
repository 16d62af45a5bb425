"""The labelers' side in numbers: a cycle (next, draft, submit), the queue's length, an import, double hand-outs.

    python -m benchmarks.labeling [--tasks 10000] [--large 1000000] [--cycles 500]

Starts a PostgreSQL of its own below a temporary folder, with durable commits, and speaks to Django in this process, so
the printed CPU is that of the web side; PostgreSQL's is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

Row = tuple[str, float, str, float]

FILL = """
INSERT INTO labeling_prompt (id, project_id, messages, digest, owner_key, split, source, external_id, tags, prefix_digest, pii,
    created_at)
SELECT gen_random_uuid(), %(project)s, jsonb_build_array(jsonb_build_object('role', 'user', 'content', repeat('word ', 80))),
    'bench ' || n, '', 'train', 'imported', '', '[]', '', '[]', now() FROM generate_series(1, %(tasks)s) n;
INSERT INTO labeling_task (id, batch_id, project_id, kind, prompt_id, copy, state, priority, created_at)
SELECT gen_random_uuid(), %(batch)s, %(project)s, 'ranking', id, 0, 'open', 0, now()
FROM labeling_prompt WHERE project_id = %(project)s;
INSERT INTO labeling_slot (task_id, number, project_id, kind, priority, rnd, is_open, answered)
SELECT id, k, project_id, kind, 0, gen_random_uuid(), true, false
FROM labeling_task, generate_series(0, %(overlap)s - 1) k WHERE batch_id = %(batch)s;
INSERT INTO inference_completion (id, version_id, candidate, text, params, finish_reason, is_external, created_at)
SELECT gen_random_uuid(), %(version)s, 0, repeat('answer ' || n || ' ', 60), '{}', '', true, now()
FROM generate_series(1, 4) n;
INSERT INTO labeling_candidate (id, task_id, completion_id)
SELECT gen_random_uuid(), t.id, c.id FROM labeling_task t, inference_completion c
WHERE t.batch_id = %(batch)s AND c.version_id = %(version)s;
"""
ANSWER_FIRST = """
WITH first AS (
    SELECT id FROM labeling_slot WHERE project_id = %(project)s AND is_open ORDER BY priority DESC, rnd DESC LIMIT %(n)s
), mine AS (
    SELECT DISTINCT ON (s.task_id) s.* FROM labeling_slot s JOIN first USING (id) ORDER BY s.task_id
), done AS (
    UPDATE labeling_slot s SET is_open = false, answered = true, labeler_id = %(labeler)s FROM mine WHERE s.id = mine.id
)
INSERT INTO labeling_assignment (id, task_id, slot_id, project_id, labeler_id, kind, state, seat, leased_at, lease_until,
    renewals, display_order, guideline_version, active_ms, created_at, ended_at)
SELECT gen_random_uuid(), task_id, id, project_id, %(labeler)s, kind, 'submitted', 0,
    now() - interval '1 day' + row_number() OVER (ORDER BY rnd DESC) * interval '1 ms', now(), 0, '[]', 1, 0, now(), now()
FROM mine
"""
# At a share of 99 % done the free slots stand anywhere; others did them.
DONE_BY_OTHERS = """
UPDATE labeling_slot SET is_open = false, answered = true, labeler_id = %(labeler)s
WHERE project_id = %(project)s AND number = 0 AND id %% 100 <> 0
"""


@contextmanager
def database(folder: Path) -> Iterator[None]:
    """A migrated PostgreSQL below `folder`, and Django upon it."""
    from config.services.paths import Home
    from config.services.postgres import Postgres

    home = Home(folder)
    home.prepare()
    folder.chmod(0o711)
    home.ensure_secret_key()
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ.update(
        PRECEPTOR_HOME=str(folder), DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="WARNING"
    )
    server = Postgres(home)
    server.start()
    try:
        import django
        from django.core.management import call_command

        django.setup()
        logging.disable(logging.INFO)  # A line for each request would be measured too.
        call_command("migrate", verbosity=0)
        yield
    finally:
        server.stop()


def cpu_of_backends() -> float:
    """CPU seconds of all PostgreSQL processes of ours that live now."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity")
        pids = [pid for (pid,) in cursor.fetchall()]
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(act: Callable[[], Any]) -> tuple[float, float, float, Any]:
    """(own CPU, PostgreSQL's CPU, wall, result) in seconds."""
    other, own, wall = cpu_of_backends(), time.process_time(), time.perf_counter()
    result = act()
    own, wall = time.process_time() - own, time.perf_counter() - wall
    return own, cpu_of_backends() - other, wall, result


class Person:
    """A labeler at work through Django's own request handling, session and CSRF middleware included."""

    def __init__(self, project: Any) -> None:
        from rest_framework.test import APIClient

        from accounts.models import Membership, User

        self.user = User.objects.create(username=f"bench-{uuid.uuid4().hex[:8]}", password="!")  # noqa: S106
        Membership.objects.create(project=project, user=self.user, role="labeler")
        self.client = APIClient(SERVER_NAME="localhost")
        self.client.force_login(self.user)
        self.next = f"/api/v1/projects/{project.pk}/tasks/next/"
        self.task: Any = None

    def take(self) -> None:
        """POST tasks/next/."""
        self.task = self.client.post(self.next, {"kinds": ["ranking"]}).json()["assignment"]

    def cycle(self) -> tuple[float, float, float]:
        """next, draft, submit (which leases the next): wall seconds of each."""
        marks = [time.perf_counter()]
        self.take()
        marks.append(time.perf_counter())
        here = f"/api/v1/assignments/{self.task['id']}/"
        tiers = [[one["id"]] for one in self.task["candidates"]]
        saved = self.client.put(
            here + "draft/", {"content": {"tiers": tiers}}, headers={"If-None-Match": "*"}
        )
        marks.append(time.perf_counter())
        body = {"tiers": tiers, "active_ms": 1000, "next": {"kinds": ["ranking"]}}
        done = self.client.post(here + "submit/", body, headers={"Idempotency-Key": uuid.uuid4().hex})
        marks.append(time.perf_counter())
        assert (saved.status_code, done.status_code) == (200, 201), (saved.content, done.content)
        return marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]


def fill(name: str, tasks: int, overlap: int) -> Any:
    """A project with an open batch of this many tasks, K = 4."""
    from django.db import connection

    from accounts.models import Project
    from inference.models import ModelVersion
    from labeling.models import Batch

    project = Project.objects.create(name=name, salt=b"." * 32)
    batch = Batch.objects.create(project=project, kind="ranking", quota=tasks, overlap=overlap)
    version = ModelVersion.objects.create(project=project, name="bench", kind="external")
    values: dict[str, Any] = {
        "project": project.pk,
        "batch": batch.pk,
        "version": version.pk,
        "tasks": tasks,
        "overlap": overlap,
    }
    with connection.cursor() as cursor:
        cursor.execute(FILL, values)
    settle()
    return project


def settle() -> None:
    """What autovacuum does in time."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def cycles(project: Any, person: Person, count: int) -> dict[str, float]:
    """CPU and wall milliseconds of a warm cycle."""
    for _ in range(20):
        person.cycle()
    own, other, _, walls = measured(lambda: [person.cycle() for _ in range(count)])
    parts = [statistics.median(column) * 1000 for column in zip(*walls, strict=True)]
    return {
        "cpu": own * 1000 / count,
        "postgres": other * 1000 / count,
        "next": parts[0],
        "draft": parts[1],
        "submit": parts[2],
        "cycle": sum(parts),
    }


def hand_out_ms(project: Any, person: Person, count: int = 200) -> float:
    """Median of the hand-out statement alone, rolled back each time."""
    from django.db import connection, transaction

    from labeling.services.hand_out import hand_out

    walls = []
    for _ in range(count + 10):
        with transaction.atomic():
            start = time.perf_counter()
            hand_out(project=project, labeler=person.user, kinds=["ranking"], prefetch=True)
            walls.append(time.perf_counter() - start)
            transaction.set_rollback(True)
    assert connection.connection is not None
    return statistics.median(walls[10:]) * 1000


def cycle_rows(tasks: int, large: int, count: int) -> Iterator[Row]:
    """A cycle in a short, new queue, and how much more it costs in long and old ones."""
    from django.db import connection

    small = fill("small", tasks, 3)
    base, base_statement = cycles(small, Person(small), count), hand_out_ms(small, Person(small))
    yield "labeling cycle: CPU of the web side", base["cpu"], "ms", 25
    yield "labeling cycle: CPU of PostgreSQL beside it", base["postgres"], "ms", 25
    for part, bar in (("next", 25), ("draft", 25), ("submit", 25)):
        yield f"labeling cycle: {part}, median wall", base[part], "ms", bar

    def compare(name: str, project: Any, person: Person) -> Iterator[Row]:
        yield (
            f"queue, {name}: cycle against {tasks:,} new",
            cycles(project, person, count)["cycle"] / base["cycle"],
            "x",
            1.3,
        )
        other = Person(project) if name != "long, veteran" else person
        yield f"queue, {name}: hand-out alone", hand_out_ms(project, other) / base_statement, "x", 1.3

    big = fill("large", large, 3)
    yield from compare(f"{large:,} new", big, Person(big))
    veteran = Person(big)
    values = {"project": big.pk, "labeler": veteran.user.pk, "n": min(100_000, large // 2)}
    with connection.cursor() as cursor:
        cursor.execute(ANSWER_FIRST, values)
    settle()
    yield from compare("long, veteran", big, veteran)
    with connection.cursor() as cursor:
        cursor.execute(DONE_BY_OTHERS, {"project": big.pk, "labeler": Person(big).user.pk})
        cursor.execute(
            "UPDATE labeling_slot SET is_open = false WHERE project_id = %s AND number > 0", [big.pk]
        )
    settle()
    yield from compare("long, 99 % done", big, Person(big))


def import_rows(count: int) -> Iterator[Row]:
    """Prompts the size of a ranking task (3 KB), and memory at ten times as many."""
    from accounts.models import Membership, Project, User
    from labeling.services.prompts import import_prompts

    admin = User.objects.create(username="bench-admin", password="!")  # noqa: S106
    for lines in (count, count * 10):
        project = Project.objects.create(name=f"import {lines}", salt=b"." * 32)
        Membership.objects.create(project=project, user=admin, role="admin")
        with tempfile.TemporaryFile() as file:
            for number in range(lines):
                text = json.dumps({"id": number, "prompt": f"{number} " + "some words of a prompt " * 130})
                file.write(text.encode() + b"\n")
            file.seek(0)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            stream: Any = file

            def act(project: Any = project, stream: Any = stream) -> Any:
                return import_prompts(project=project, stream=stream, actor=admin)

            own, other, _, report = measured(act)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            assert report["imported"] == lines
        yield f"import {lines:,} prompts of 3 KB: CPU", own, "s", 2 * lines / 10_000
        yield f"import {lines:,} prompts of 3 KB: PostgreSQL's CPU", other, "s", 2 * lines / 10_000
        yield f"import {lines:,} prompts of 3 KB: memory grows by", grown, "MB", 20


def rows() -> Iterator[Row]:
    """(label, value, unit, bar) of each measure, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.labeling", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            label, value, unit, bar = json.loads(line)
            yield label, value, unit, bar
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}")


def main() -> None:
    """Run everything and print one line a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="tasks of the long queue")
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="preceptor-bench-") as folder, database(Path(folder)):
        every = (import_rows(options.tasks), cycle_rows(options.tasks, options.large, options.cycles))
        for label, value, unit, bar in chain(*every):
            line = [label, round(value, 3), unit, bar]
            print(
                json.dumps(line) if options.json else f"{label:<64}{value:9.2f} {unit:<3} bar {bar:g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
