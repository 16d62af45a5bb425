"""Freeze what people made into an immutable folder: the same content is the same snapshot.

    train.jsonl  valid.jsonl  heldout.jsonl   canonical records, one a line, by id
    manifest.json                             counts, as_of, sha256 and size of each file, version of the format

All rows come from one REPEATABLE READ transaction, so the files agree with each other and with `as_of`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import orjson
from django.db import IntegrityError, connection, transaction

from accounts.events import record
from accounts.models import Project, User
from common.storage import default_store, digest_of, read_folder
from labeling.models import Split
from labeling.selectors import prompts_left_out
from training.models import Snapshot, SnapshotItem, SnapshotKind
from training.selectors.records import left_out, records_of

SCHEMA = 1
ITEMS_AT_ONCE = 2000


@dataclass
class Frozen:
    """What one pass over the rows has found."""

    as_of: datetime
    rows: Counter[str] = field(default_factory=Counter)
    labelers: set[str] = field(default_factory=set)
    synthetic: int = 0
    tied_pairs: int = 0
    items: list[tuple[UUID, str]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    prompts_left_out: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """What people and launch forms want to know of it."""
        return {
            "rows": {str(split): self.rows[split] for split in Split.values},
            "total": self.rows.total(),
            "labelers": len(self.labelers),
            "synthetic": self.synthetic,
            "tied_pairs": self.tied_pairs,
            "left_out": self.left_out,
            "prompts_left_out": self.prompts_left_out,
        }


def freeze(*, project: Project, kind: str, actor: User | None = None) -> Snapshot:
    """The snapshot of everything of this kind that counts now: to be trained on or, `measuring`, only measured with.

    Must not be called in a transaction.
    """
    kind = SnapshotKind(kind)
    with tempfile.TemporaryDirectory(prefix="preceptor-snapshot-") as name:
        folder = Path(name)
        frozen = _write_rows(project, kind, folder)
        files = read_folder(folder)
        content = digest_of(files)
        known = Snapshot.objects.filter(project=project, kind=kind, content_sha256=content).first()
        if known is not None:
            return known
        manifest = {
            "schema": SCHEMA,
            "kind": str(kind),
            "content_sha256": content,
            "as_of": frozen.as_of.isoformat(),
            "counts": frozen.counts(),
            "files": files,
        }
        (folder / "manifest.json").write_text(
            json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8"
        )
        digest = default_store().put_folder(folder)
    return _remember(project, kind, frozen, digest=digest, content=content, actor=actor)


@contextmanager
def one_moment() -> Iterator[datetime]:
    """A read-only transaction that sees the database as it was at one moment, which it yields."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SELECT transaction_timestamp()")
        yield cursor.fetchone()[0]


def _write_rows(project: Project, kind: SnapshotKind, folder: Path) -> Frozen:
    with one_moment() as as_of, ExitStack() as stack:
        frozen = Frozen(as_of)
        files = {split: stack.enter_context((folder / f"{split}.jsonl").open("wb")) for split in Split.values}
        for answer_id, row in records_of(project, kind, as_of=as_of):
            _add(frozen, files, answer_id, row)
        frozen.left_out = left_out(project, kind, as_of=as_of)
        frozen.prompts_left_out = prompts_left_out(project, as_of=as_of)
    return frozen


def _add(frozen: Frozen, files: Mapping[str, IO[bytes]], answer_id: UUID, row: Mapping[str, Any]) -> None:
    line = orjson.dumps(row)
    split = str(row["split"])
    files[split].write(line + b"\n")
    frozen.items.append((answer_id, hashlib.sha256(line).hexdigest()))
    frozen.rows[split] += 1
    frozen.synthetic += bool(row.get("is_synthetic"))
    if "labeler" in row:
        frozen.labelers.add(str(row["labeler"]))
    if "ranks" in row:
        frozen.tied_pairs += sum(n * (n - 1) // 2 for n in Counter(row["ranks"].values()).values())


def _remember(
    project: Project, kind: SnapshotKind, frozen: Frozen, *, digest: str, content: str, actor: User | None
) -> Snapshot:
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                project=project,
                kind=kind,
                digest=digest,
                content_sha256=content,
                counts=frozen.counts(),
                query={
                    "kind": str(kind),
                    "latest": True,
                    "late": False,
                    "pools": "heldout" if kind == SnapshotKind.MEASURING else "all but heldout",
                    "schema": SCHEMA,
                },
                as_of=frozen.as_of,
                is_synthetic=frozen.synthetic > 0,
                created_by=actor,
            )
            SnapshotItem.objects.bulk_create(
                (
                    SnapshotItem(snapshot=snapshot, answer_id=pk, content_sha256=sha)
                    for pk, sha in frozen.items
                ),
                batch_size=ITEMS_AT_ONCE,
            )
            record(
                "snapshot.frozen",
                subject=snapshot,
                actor=actor,
                snapshot_kind=str(kind),
                rows=frozen.rows.total(),
            )
    except IntegrityError:
        # Somebody froze the same content at the same moment.
        return Snapshot.objects.get(project=project, kind=kind, content_sha256=content)
    return snapshot
