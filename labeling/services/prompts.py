"""Prompts: one by one, and whole files streamed through a staging table, all rows or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, TypedDict
from uuid import UUID

import orjson
from django.db import connection, transaction

from accounts.access import membership_for
from accounts.events import record
from accounts.models import Project, User
from common.errors import FieldError, InvalidInput
from labeling.identity import Message, uuid7
from labeling.lines import RowError
from labeling.models import Batch, LeftOutReason, Prompt, PromptSource, Split, TaskKind
from labeling.rows import parse_row
from labeling.services.imports import Errors, good_rows
from labeling.services.sift import MAX_PER_OWNER, Note, flagged_by_kind, notes, sift
from labeling.states import BatchState


class ImportCounts(TypedDict):
    """What an import did, in numbers. The first four are all of its rows."""

    imported: int  # new prompts
    duplicates: int  # rows whose prompt the project, or the file, had already
    near_duplicates: (
        int  # rows left out because they begin like a prompt that was there, or like an earlier row
    )
    over_owner_cap: int  # rows left out because their owner has as many prompts as one owner may have
    demonstrations: int  # new demonstrations
    splits: dict[str, int]  # of the new prompts
    flagged: int  # new prompts with personal data: those of the training split are kept out of training
    pii: dict[str, int]  # the same by kind


class ImportReport(ImportCounts):
    """The numbers, and the first rows that there is something to say of."""

    notes: list[Note]


# One file may take longer than a page may ask of the database.
LIMIT = "SET LOCAL statement_timeout = '30min'"
STAGING = """
DROP TABLE IF EXISTS pg_temp.prompt_staging;
CREATE TEMP TABLE prompt_staging (
    line integer, id uuid, digest text, split text, owner_key text, external_id text,
    messages jsonb, tags jsonb, completion text, prefix_digest text, pii jsonb,
    reason text, like_line integer, like_prompt uuid
) ON COMMIT DROP
"""
COPY = """
COPY prompt_staging (line, id, digest, split, owner_key, external_id, messages, tags, completion, prefix_digest, pii)
FROM STDIN
"""

# In the order of the digests, so that two imports of the same rows wait for each other in one direction only.
INSERT_PROMPTS = """
WITH fresh AS (
    INSERT INTO labeling_prompt (id, project_id, messages, digest, owner_key, split, source, external_id, tags,
        prefix_digest, pii, created_by_id, created_at)
    SELECT id, %(project)s, messages, digest, owner_key, split, %(source)s, external_id, tags, prefix_digest, pii,
        %(actor)s, statement_timestamp()
    FROM (SELECT DISTINCT ON (digest) * FROM prompt_staging ORDER BY digest, line) AS first
    WHERE reason IS NULL ORDER BY digest
    ON CONFLICT (project_id, digest) DO NOTHING RETURNING split
)
SELECT split, count(*) FROM fresh GROUP BY split
"""

# Imported answers have a task, as every answer has, but nobody was asked, so there are no slots. Of several answers
# to one prompt each gets a task of its own (`copy`).
INSERT_DEMONSTRATIONS = """
WITH given AS MATERIALIZED (
    SELECT gen_random_uuid() AS task, p.id AS prompt, s.completion,
        row_number() OVER (PARTITION BY p.id ORDER BY s.line) - 1 AS copy
    FROM (
        SELECT DISTINCT ON (digest, completion) * FROM prompt_staging
        WHERE completion IS NOT NULL ORDER BY digest, completion, line
    ) AS s
    JOIN labeling_prompt p ON p.project_id = %(project)s AND p.digest = s.digest
    WHERE NOT EXISTS (
        SELECT FROM labeling_task t JOIN labeling_demonstration d ON d.task_id = t.id
        WHERE t.prompt_id = p.id AND d.labeler_id = %(actor)s AND d.text = s.completion
    )
), tasks AS (
    INSERT INTO labeling_task (id, batch_id, project_id, kind, prompt_id, copy, state, priority, created_at)
    SELECT task, %(batch)s, %(project)s, 'demonstration', prompt, copy, 'complete', 0, statement_timestamp() FROM given
)
INSERT INTO labeling_demonstration (id, task_id, project_id, labeler_id, pool, revision, is_latest, is_late,
    is_synthetic, guideline_version, active_ms, note, idempotency_key, body_sha256, submitted_at, text)
SELECT gen_random_uuid(), task, %(project)s, %(actor)s, %(pool)s, 1, true, false, %(synthetic)s, %(guideline)s, 0, '', '',
    encode(sha256(convert_to(completion, 'UTF8')), 'hex'), statement_timestamp(), completion
FROM given
"""


@transaction.atomic
def import_prompts(
    *,
    project: Project,
    stream: IO[bytes],
    actor: User,
    dry_run: bool = False,
    keep_near_duplicates: bool = False,
    max_per_owner: int | None = MAX_PER_OWNER,
) -> ImportReport:
    """Import JSON lines (rows.py says which shapes), memory flat however long the file is.

    Left out and counted, with the answers they bring: near-duplicates (identity.prefix_digest_of), unless they are to be
    kept, and an owner's prompts beyond `max_per_owner` (None: no cap), those that are there counted in. Personal data is
    flagged (pii.py), not left out: selectors keep it out of training.

    Raises ImportRefused, naming the first 1000 bad rows, and writes nothing then. With `dry_run` nothing is written
    either, but everything is tried. The same file twice gives nothing new.
    """
    pool = membership_for(actor, project.pk).pool
    with connection.cursor() as cursor:
        cursor.execute(LIMIT)
        cursor.execute(STAGING)
    rows = _stage(stream)
    left_out = sift(project, near=not keep_near_duplicates, cap=max_per_owner)
    splits = _insert_prompts(project, actor)
    flagged, pii = flagged_by_kind()
    imported = sum(splits.values())
    counts: ImportCounts = {
        "imported": imported,
        "duplicates": rows - imported - sum(left_out.values()),
        "near_duplicates": left_out[LeftOutReason.NEAR_DUPLICATE],
        "over_owner_cap": left_out[LeftOutReason.OWNER_CAP],
        "demonstrations": _insert_demonstrations(project, actor, pool),
        "splits": splits,
        "flagged": flagged,
        "pii": pii,
    }
    chosen = {"keep_near_duplicates": keep_near_duplicates, "max_per_owner": max_per_owner}
    record("prompts.imported", subject=project, actor=actor, project=project, rows=rows, **counts, **chosen)
    report = ImportReport(**counts, notes=notes() if flagged or any(left_out.values()) else [])
    if dry_run:
        transaction.set_rollback(True)
    return report


def _stage(stream: IO[bytes]) -> int:
    errors, rows = Errors(), 0
    with connection.cursor() as cursor:
        # The rest of a file with a bad row is read for its other errors, not stored.
        with cursor.copy(COPY) as copy:
            for line, row in good_rows(stream, parse_row, errors):
                values = (
                    line,
                    uuid7(),
                    row.digest,
                    row.split,
                    row.owner_key,
                    row.external_id,
                    *(orjson.dumps(value).decode() for value in (row.messages, row.tags)),
                    row.completion,
                    row.prefix_digest,
                    orjson.dumps(row.pii).decode(),
                )
                copy.write_row(values)
                rows += 1
        errors.refuse()
        cursor.execute("ANALYZE prompt_staging")
    return rows


def _insert_prompts(project: Project, actor: User) -> dict[str, int]:
    """How many are new, by split."""
    values: dict[str, Any] = {"project": project.pk, "source": PromptSource.IMPORTED, "actor": actor.pk}
    with connection.cursor() as cursor:
        cursor.execute(INSERT_PROMPTS, values)
        return dict.fromkeys(Split.values, 0) | dict(cursor.fetchall())


def _insert_demonstrations(project: Project, actor: User, pool: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM prompt_staging WHERE completion IS NOT NULL)")
        if not cursor.fetchone()[0]:
            return 0
    batch = import_batch(project, TaskKind.DEMONSTRATION)
    values: dict[str, Any] = {
        "project": project.pk,
        "batch": batch.pk,
        "actor": actor.pk,
        "pool": pool,
        "synthetic": actor.is_synthetic,
        "guideline": project.guideline_version,
    }
    with connection.cursor() as cursor:
        cursor.execute(INSERT_DEMONSTRATIONS, values)
        written: int = cursor.rowcount
    if not written:
        batch.delete()
        return 0
    count_imported(batch, {actor.pk: written})
    return written


def import_batch(project: Project, kind: str, *, title: str = "", overlap: int = 1) -> Batch:
    """The batch that holds imported answers: closed from the start."""
    return Batch.objects.create(
        project=project,
        kind=kind,
        title=title[:120],
        state=BatchState.FROZEN,
        quota=0,
        overlap=overlap,
        is_import=True,
    )


def count_imported(batch: Batch, answers: dict[UUID, int]) -> None:
    """Set tallies and quota of an import to what it brought."""
    batch.tallies.bulk_create(
        [batch.tallies.model(batch=batch, labeler_id=who, answers=n) for who, n in answers.items()]
    )
    batch.quota = sum(answers.values())
    batch.save(update_fields=["quota"])


@transaction.atomic
def add_prompt(
    *,
    project: Project,
    messages: str | Sequence[Message],
    actor: User,
    owner_key: str = "",
    tags: Sequence[str] = (),
) -> tuple[Prompt, bool]:
    """Add one prompt, a text or messages: the row, and whether it is new. Raises InvalidInput."""
    asked = {"prompt": messages} if isinstance(messages, str) else {"messages": list(messages)}
    row: dict[str, Any] = {**asked, "owner": owner_key or None, "tags": list(tags)}
    try:
        parsed = parse_row(row)
    except RowError as error:
        message = f"{error.message} {error.remedy}"
        raise InvalidInput(
            message, code=error.code, errors=[FieldError(error.field, error.code, message)]
        ) from None
    if parsed.completion is not None:
        raise InvalidInput("messages: a prompt ends with the user's turn.", code="last_not_user")
    prompt, is_new = Prompt.objects.get_or_create(
        project=project,
        digest=parsed.digest,
        defaults={
            "messages": parsed.messages,
            "owner_key": parsed.owner_key,
            "split": parsed.split,
            "source": PromptSource.PLAIN,
            "tags": parsed.tags,
            "prefix_digest": parsed.prefix_digest,
            "pii": parsed.pii,
            "created_by": actor,
        },
    )
    if is_new:
        record(
            "prompt.added", subject=prompt, actor=actor, project=project, split=prompt.split, pii=prompt.pii
        )
    return prompt, is_new


@transaction.atomic
def clear_pii(*, prompt: Prompt, actor: User) -> Prompt:
    """Say that what was found in this prompt is nobody's personal data: training may read it. Twice does nothing more."""
    prompt.refresh_from_db(from_queryset=Prompt.objects.select_for_update())
    if prompt.pii:
        record("prompt.cleared", subject=prompt, actor=actor, kinds=prompt.pii)
        prompt.pii = []
        prompt.save(update_fields=["pii"])
    return prompt
