"""Drafts: what a labeler has not sent yet, kept word for word."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

import orjson
from django.db import connection

from common.errors import InvalidInput
from common.text import clean_text
from labeling.errors import DraftStale
from labeling.models import Assignment, Draft

MAX_DRAFT_BYTES = 256 * 1024
DEEPEST = 8


class Saved(TypedDict):
    """The draft's new ETag and when it was stored."""

    revision: int
    saved_at: datetime


FIRST = """
INSERT INTO labeling_draft (assignment_id, content, revision, saved_at)
VALUES (%(id)s, %(content)s, 1, statement_timestamp())
ON CONFLICT (assignment_id) DO NOTHING RETURNING revision, saved_at
"""
AGAIN = """
UPDATE labeling_draft SET content = %(content)s, revision = revision + 1, saved_at = statement_timestamp()
WHERE assignment_id = %(id)s AND revision = %(revision)s RETURNING revision, saved_at
"""


def save_draft(*, assignment: Assignment, content: dict[str, Any], revision: int | None) -> Saved:
    """Store `content` over the draft of this `revision` (None: there is none yet). One statement.

    Raises DraftStale with the newer draft in `extra`, or InvalidInput for what cannot be stored exactly.
    """
    _check(content, "content", 0)
    text = orjson.dumps(content)
    if len(text) > MAX_DRAFT_BYTES:
        raise InvalidInput(
            f"content: {len(text)} bytes; at most {MAX_DRAFT_BYTES} are stored.", code="draft_too_large"
        )
    values: dict[str, Any] = {"id": assignment.pk, "content": text.decode(), "revision": revision}
    with connection.cursor() as cursor:
        cursor.execute(FIRST if revision is None else AGAIN, values)
        row = cursor.fetchone()
    if row is None:
        raise DraftStale(extra={"draft": draft_of(assignment)})
    return {"revision": row[0], "saved_at": row[1]}


def draft_of(assignment: Assignment) -> dict[str, Any] | None:
    """The stored draft as people get it, None if there is none."""
    found = Draft.objects.filter(assignment=assignment).first()
    if found is None:
        return None
    return {"content": found.content, "revision": found.revision, "saved_at": found.saved_at.isoformat()}


def _check(value: Any, field: str, depth: int) -> None:
    """Refuse what jsonb cannot hold exactly: NUL, lone surrogates, endless nesting."""
    if depth > DEEPEST:
        raise InvalidInput(f"{field[:200]}: nested deeper than {DEEPEST} levels.", code="too_deep")
    if isinstance(value, str):
        clean_text(value, field=field[:200], max_bytes=MAX_DRAFT_BYTES)
    elif isinstance(value, dict):
        for key, one in value.items():
            clean_text(key, field="content: a key", max_bytes=200)
            _check(one, f"{field}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _check(one, f"{field}.{index}", depth + 1)
