"""Which staged rows stay out of a project, and what there is to say of the others: counts, and the first rows by name.

Works on the table that `import_prompts` has filled, in statements whose number does not hang on the rows.
"""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from django.db import connection

from accounts.models import Project
from labeling.models import LeftOutReason
from labeling.pii import KINDS

MAX_PER_OWNER = (
    200  # InstructGPT (2203.02155), section 3.2: "limiting the number of prompts to 200 per user ID"
)
NOTED = 100


class Note(TypedDict):
    """A row that was left out or flagged: which rule, and what it resembles. Never its text."""

    line: int
    reason: str  # near_duplicate | owner_cap | pii
    kinds: list[str]  # of personal data
    like_line: int | None  # the earlier row that it begins like ...
    like_prompt: UUID | None  # ... or the prompt that was there


# Of rows with the same digest the first one stands for all; the others are duplicates. A row that begins like an earlier one
# of the file is left out even if that one was left out for its owner, so that the file says the same when it comes again.
SIFT = """
WITH fresh AS (
    SELECT * FROM (
        SELECT DISTINCT ON (digest) line, digest, prefix_digest, owner_key FROM prompt_staging ORDER BY digest, line
    ) AS first
    WHERE NOT EXISTS (SELECT FROM labeling_prompt p WHERE p.project_id = %(project)s AND p.digest = first.digest)
), alike AS (
    SELECT fresh.*, there.id AS like_prompt, min(line) OVER (PARTITION BY prefix_digest) AS first_line
    FROM fresh LEFT JOIN LATERAL (
        SELECT p.id FROM labeling_prompt p
        WHERE p.project_id = %(project)s AND p.prefix_digest = fresh.prefix_digest LIMIT 1
    ) AS there ON %(near)s
), near AS (
    SELECT * FROM alike WHERE %(near)s AND (like_prompt IS NOT NULL OR first_line < line)
), owned AS (
    SELECT line, digest, owner_key, row_number() OVER (PARTITION BY owner_key ORDER BY line) AS place
    FROM fresh WHERE owner_key <> '' AND line NOT IN (SELECT line FROM near)
), owners AS (
    SELECT owner_key, (
        SELECT count(*) FROM labeling_prompt p
        WHERE p.project_id = %(project)s AND p.owner_key = o.owner_key AND p.owner_key <> ''
    ) AS have
    FROM (SELECT DISTINCT owner_key FROM owned WHERE %(cap)s::integer IS NOT NULL) AS o
), verdict AS (
    SELECT line, digest, 'near_duplicate' AS reason, like_prompt,
        CASE WHEN like_prompt IS NULL THEN first_line END AS like_line
    FROM near
    UNION ALL
    SELECT line, digest, 'owner_cap', NULL, NULL FROM owned JOIN owners USING (owner_key)
    WHERE have + place > %(cap)s::integer
), marked AS (
    UPDATE prompt_staging s SET reason = v.reason, like_line = v.like_line, like_prompt = v.like_prompt
    FROM verdict v WHERE s.line = v.line
), kept AS (
    INSERT INTO labeling_leftout (project_id, digest, reason, created_at)
    SELECT %(project)s, digest, reason, statement_timestamp() FROM verdict ON CONFLICT (project_id, digest) DO NOTHING
)
SELECT reason, count(*) FROM verdict GROUP BY reason
"""
# A staged row has the id of the prompt that it became, if it became one.
FLAGGED = """
WITH flagged AS (
    SELECT s.pii FROM prompt_staging s JOIN labeling_prompt p ON p.id = s.id WHERE s.pii <> '[]'
)
SELECT '', count(*) FROM flagged
UNION ALL SELECT kind, count(*) FROM flagged, jsonb_array_elements_text(pii) AS kind GROUP BY kind
"""
NOTES = """
SELECT line, coalesce(reason, 'pii'), CASE WHEN reason IS NULL THEN array(SELECT jsonb_array_elements_text(pii)) ELSE '{}' END,
    like_line, like_prompt
FROM prompt_staging s
WHERE reason IS NOT NULL OR (pii <> '[]' AND EXISTS (SELECT FROM labeling_prompt p WHERE p.id = s.id))
ORDER BY line LIMIT %s
"""


def sift(project: Project, *, near: bool, cap: int | None) -> dict[str, int]:
    """Mark the rows that stay out and remember their digests; how many, by reason. One import of a project at a time."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    with connection.cursor() as cursor:
        cursor.execute(SIFT, {"project": project.pk, "near": near, "cap": cap})
        return dict.fromkeys(LeftOutReason.values, 0) | dict(cursor.fetchall())


def flagged_by_kind() -> tuple[int, dict[str, int]]:
    """How many of the new prompts hold personal data, and how many of each kind."""
    with connection.cursor() as cursor:
        cursor.execute(FLAGGED)
        found = dict(cursor.fetchall())
    return found.pop(""), {kind: found.get(kind, 0) for kind in KINDS}


def notes() -> list[Note]:
    """The first rows that were left out or flagged, in the order of the file."""
    with connection.cursor() as cursor:
        cursor.execute(NOTES, [NOTED])
        return [
            Note(line=line, reason=reason, kinds=kinds, like_line=like_line, like_prompt=like_prompt)
            for line, reason, kinds, like_line, like_prompt in cursor.fetchall()
        ]
