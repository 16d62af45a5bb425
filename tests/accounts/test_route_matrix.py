"""Every route times every kind of asker. The table is tests/accounts/routes.py; nothing is open by being forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from uuid import UUID

import pytest
from django.core.cache import cache
from django.core.signals import request_finished
from django.db import close_old_connections, transaction
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.services import create_token
from tests.accounts.routes import CATCH_ALL, ROUND, ROWS, RUN, Row
from tests.factories import VersionFactory
from tests.labeling.factories import AssignmentFactory, DraftFactory, PromptFactory
from tests.training.factories import RoundFactory, RunFactory, SnapshotFactory

METHODS = ("get", "post", "put", "patch", "delete")
STREAMS = (ROUND + "events/", RUN + "events/")
REFUSED = (401, 403, 404, 405)
RANK = {"labeler": 1, "reviewer": 2, "admin": 3}


def routes(patterns=None, before: str = "") -> Iterator[tuple[str, str]]:
    """(method, route) of the whole URLconf."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
            continue
        assert isinstance(pattern, URLPattern)
        view = getattr(pattern.callback, "view_class", None)
        found = [m for m in METHODS if hasattr(view, m)] if view else ["get"]
        yield from ((method.upper(), route) for method in found)


def test_every_route_has_a_declared_expectation():
    found = {(method, route) for method, route in routes() if route not in CATCH_ALL}
    declared = {(row.method, row.route) for row in ROWS}
    assert found - declared == set(), "add these to tests/accounts/routes.py"
    assert declared - found == set(), "these are no routes any more"
    assert len(declared) == len(ROWS)


class World:
    """One of everything in the project, and the six who ask."""

    def __init__(self, project, people):
        self.people = people
        token, _ = create_token(user=people["labeler"], name="mine", scopes=["read"])
        self.project = project
        round_ = RoundFactory.create(project=project)
        self.ids = {
            "project_id": project.pk,
            "user_id": people["ben"].pk,
            "token_id": token.pk,
            "version_id": VersionFactory(project=project).pk,
            "prompt_id": PromptFactory.create(project=project).pk,
            "assignment_id": drafted_assignment(people["labeler"], project).pk,
            "round_id": round_.pk,
            "run_id": RunFactory.create(project=project, round=round_).pk,
            "snapshot_id": SnapshotFactory.create(project=project).pk,
        }

    def address(self, row: Row, ids: dict[str, UUID] | None = None) -> str:
        return "/" + re.sub(r"<uuid:(\w+)>", lambda found: str((ids or self.ids)[found[1]]), row.route)

    def ask(self, client: APIClient, row: Row) -> tuple[int, str]:
        """Status and code; whatever the request did is undone."""
        # Live events close their database connection while they wait, which an open transaction would not survive.
        undo = nullcontext() if row.method == "GET" else transaction.atomic()
        headers = {"Idempotency-Key": "matrix-1", "If-None-Match": "*"}
        with undo:
            answer = client.generic(
                row.method, self.address(row), row.body, content_type="application/json", headers=headers
            )
            if row.method != "GET":
                transaction.set_rollback(True)
        is_problem = answer.get("Content-Type") == "application/problem+json"
        code = answer.json().get("code", "") if is_problem else ""
        if answer.streaming:
            close(answer)
        return answer.status_code, code


def close(answer):
    """End a stream as Django's own client does: without closing the test's connection."""
    request_finished.disconnect(close_old_connections)
    answer.close()
    request_finished.connect(close_old_connections)


def drafted_assignment(labeler, project):
    assignment = AssignmentFactory.create(
        labeler=labeler, slot__task__project=project, slot__task__batch__project=project
    )
    assert assignment.project_id == project.pk
    DraftFactory.create(assignment=assignment)
    return assignment


@pytest.fixture
def world(project, ana, ben, ria, eva, zoe, rex):
    cache.clear()
    cast = {"labeler": ana, "ben": ben, "reviewer": ria, "admin": eva, "stranger": zoe, "elsewhere": rex}
    return World(project, cast)


def expected(row: Row, asker: str) -> object:
    """What the table says: "in", or the status that refuses."""
    if row.who == "public":
        return "in"
    if row.who == "operator":
        return "refused"
    if asker == "anonymous":
        return 401
    if row.who == "signed_in":
        return "in"
    if row.who == "opener":
        return "in" if asker in ("admin", "elsewhere") else 403
    if row.who == "own":
        return "in" if asker == "labeler" else 404
    if asker in ("stranger", "elsewhere"):
        return 404
    return "in" if RANK[asker] >= RANK[row.who] else row.low


def fits(status: int, wanted: object) -> bool:
    if wanted == "in":
        return status not in REFUSED and status < 500
    return status in REFUSED if wanted == "refused" else status == wanted


def each(rows):
    """Parameters; live events need real commits, see World.ask."""
    live = pytest.mark.django_db(transaction=True)
    return [
        pytest.param(row, id=f"{row.method} {row.route}", marks=[live] if row.route in STREAMS else [])
        for row in rows
    ]


@pytest.mark.parametrize("row", each(ROWS))
def test_each_asker_gets_in_or_is_refused_as_declared(world, row):
    wrong = {}
    for asker in ("anonymous", "labeler", "reviewer", "admin", "stranger", "elsewhere"):
        client = APIClient()
        if asker != "anonymous":
            client.force_login(world.people[asker])
        status, code = world.ask(client, row)
        if not fits(status, expected(row, asker)):
            wrong[asker] = f"{status} {code}, expected {expected(row, asker)}"
    assert wrong == {}


@pytest.mark.parametrize("row", each(row for row in ROWS if row.scope))
def test_a_token_needs_its_scope_and_its_project(world, row, other_project):
    owner = world.people["labeler" if row.who == "own" else "admin"]
    others = [
        "read",
        "export:read",
        "tasks:work",
        "prompts:write",
        "submissions:write",
        "runs:launch",
        "models:promote",
    ]
    without = ["read"] if row.scope == "admin" else [scope for scope in others if scope != row.scope]
    assert world.ask(with_token(owner, without), row) == (403, "scope_missing")
    # Where no token may, one with every scope is told so.
    status, code = world.ask(with_token(owner, [row.scope if row.scope != "session" else "admin"]), row)
    assert fits(status, 403 if row.scope == "session" else "in"), (status, code)
    if row.who in (*RANK, "own") and row.scope != "session":
        from accounts.services import add_member

        add_member(project=other_project, user=owner, role="admin")
        elsewhere = with_token(owner, ["admin"], project=other_project)
        assert world.ask(elsewhere, row) == (404, "not_found")


@pytest.mark.parametrize(
    "address", ["/api/v1/nothing/", "/api/v1/projects", "/v1/models", "/api/", "/api/v1/me"]
)
def test_below_api_there_is_nothing_else(client_of, ana, address):
    answer = client_of(ana).get(address)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def with_token(user, scopes, project=None):
    _, secret = create_token(user=user, name="x", scopes=scopes, project=project)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client
