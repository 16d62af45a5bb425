"""Situations that most tests of labeling begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from accounts.models import Project, User

Post = Callable[..., Any]


class Labeler:
    """A person at work through the REST interface."""

    def __init__(self, client: APIClient, project: Project) -> None:
        self.client = client
        self.project = project

    def next(self, **body: Any) -> Any:
        """POST tasks/next/."""
        return self.client.post(f"/api/v1/projects/{self.project.pk}/tasks/next/", body)

    def take(self, **body: Any) -> Any:
        """The assignment of `next`, which must be there."""
        answer = self.next(**body)
        assert answer.status_code == 200, answer.json()
        assert answer.json()["assignment"], answer.json()
        return answer.json()["assignment"]

    def post(self, assignment: Any, what: str, body: Any = None, **headers: str) -> Any:
        """POST assignments/{id}/<what>/."""
        return self.client.post(
            f"/api/v1/assignments/{assignment['id']}/{what}/", body or {}, headers=headers
        )

    def submit(self, assignment: Any, key: str = "", **body: Any) -> Any:
        """POST submit with a fresh key, or with this one."""
        return self.post(assignment, "submit", body, **{"Idempotency-Key": key or str(uuid4())})

    def rank(self, assignment: Any, *, key: str = "", **body: Any) -> Any:
        """Submit the shown order, each candidate in a tier of its own."""
        tiers = [[candidate["id"]] for candidate in assignment["candidates"]]
        return self.submit(assignment, key, **{"tiers": tiers} | body)

    def get(self, assignment: Any, what: str = "") -> Any:
        """GET assignments/{id}/<what>."""
        return self.client.get(f"/api/v1/assignments/{assignment['id']}/{what}")

    def save(self, assignment: Any, content: Any, **headers: str) -> Any:
        """PUT draft."""
        url = f"/api/v1/assignments/{assignment['id']}/draft/"
        return self.client.put(url, {"content": content}, headers=headers)


@pytest.fixture
def works(client_of: Callable[[User | None], APIClient], project: Project) -> Callable[[User], Labeler]:
    """`works(ana)` is ana at work in the project."""
    return lambda user: Labeler(client_of(user), project)
