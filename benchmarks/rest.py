"""A client of the public REST API: signs in by a link, then works with a bearer token."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

JSON = dict[str, Any]
LABELER_SCOPES = ["read", "tasks:work", "submissions:write"]


class Refused(RuntimeError):
    """The server said no; the message holds its problem document."""


class Client:
    """One person's view of the product."""

    def __init__(self, address: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{address}/api/v1/", timeout=120, headers={"Authorization": f"Bearer {token}"}
        )

    @classmethod
    def sign_in(cls, address: str, link: str, *, scopes: list[str]) -> Client:
        """Use a one-time link up, make a token in that session, and work with it."""
        with httpx.Client(base_url=f"{address}/api/v1/", timeout=60, headers={"Origin": address}) as session:
            secret = link.rpartition("#")[2].strip()
            _post(session, "auth/sign-in/", {"secret": secret})
            made = _post(session, "tokens/", {"name": "demo", "scopes": scopes})
        return cls(address, made["token"])

    def get(self, path: str, **query: Any) -> Any:
        """GET as JSON."""
        return _checked(self._http.get(path, params=query)).json()

    def post(self, path: str, body: JSON | None = None, *, key: str | None = None) -> Any:
        """POST JSON; `key` is the Idempotency-Key. The body of the answer, or None."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = _checked(self._http.post(path, json=body or {}, headers=headers))
        return answer.json() if answer.content else None

    def import_prompts(self, project: str, rows: list[JSON]) -> JSON:
        """Import prompts as JSON lines."""
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        done = _checked(
            self._http.post(f"projects/{project}/prompts/import/", content=content, headers=headers)
        )
        found: JSON = done.json()
        return found

    def export(self, snapshot: str, form: str, **query: Any) -> Iterator[JSON]:
        """The rows of an export."""
        path = f"snapshots/{snapshot}/export/"
        with self._http.stream("GET", path, params={"format": form, **query}) as answer:
            if answer.status_code >= 400:
                answer.read()
            _checked(answer)
            for line in answer.iter_lines():
                yield json.loads(line)


def new_key() -> str:
    return str(uuid.uuid4())


def _post(session: httpx.Client, path: str, body: JSON) -> JSON:
    token = _checked(session.get("auth/csrf/")).json()["csrf_token"]
    found: JSON = _checked(session.post(path, json=body, headers={"X-CSRFToken": token})).json()
    return found


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code >= 400:
        raise Refused(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:1000]}"
        )
    return answer
