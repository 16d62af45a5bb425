"""A project as files: every row, the folders that rows name, the small files of its runs. Written once, put back often.

    archive/rows.jsonl.gz     {"table", "row"} in the order of TABLES, then {"file", "text"} below the data folder
    archive/models/<digest>/  weights and tokenizers of the versions that the project made

Rows keep their ids, so that lineage, hashes and pseudonyms hold; numbers that the database gives out are given out
anew. The project's salt is part of the archive: pseudonyms in frozen snapshots were made with it, and the answers are those of
simulated labelers only (`write_archive` refuses any other).
"""

from __future__ import annotations

import base64
import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import AutoField, ForeignKey, Model

from accounts.models import Membership, Project, User
from common.storage import default_store
from inference.models import ModelVersion
from training.demo.tables import LEFT_BLANK, TABLES
from training.models import Run, Snapshot
from training.places import run_folder

ROWS = "rows.jsonl.gz"
MODELS = "models"
SMALL_FILES = ("run.json", "metrics.jsonl", "samples.jsonl", "result.json", "log.txt", "run.log")
AT_ONCE = 1000


# Writing.


def write_archive(*, project: Project, target: Path) -> dict[str, int]:
    """Write the project to `target`; returns rows per table. Raises ValueError if a person answered in it."""
    for kind in ("demonstrations", "rankings"):
        if getattr(project, kind).filter(is_synthetic=False).exists():
            raise ValueError(
                f"{project.name} holds {kind} of people; only simulated labelers' answers may be shipped."
            )
    shutil.rmtree(target, ignore_errors=True)
    (target / MODELS).mkdir(parents=True)
    counts: dict[str, int] = {}
    # mtime 0: the same rows give the same bytes.
    with gzip.GzipFile(target / ROWS, "wb", compresslevel=9, mtime=0) as file:
        for table, row in _rows(project):
            file.write(orjson.dumps({"table": table, "row": row}) + b"\n")
            counts[table] = counts.get(table, 0) + 1
        for name, text in _files(project):
            file.write(orjson.dumps({"file": name, "text": text}) + b"\n")
    for version in project.versions.exclude(kind="base").exclude(digest=""):
        shutil.copytree(default_store().open(version.digest), target / MODELS / version.digest)
    _make_writable(target)
    return counts


def _rows(project: Project) -> Iterator[tuple[str, dict[str, Any]]]:
    members = Membership.objects.filter(project=project).select_related("user").order_by("user__username")
    for member in members:
        yield "accounts.User", _plain(member.user, ("id", "username", "display_name", "is_synthetic"))
    yield "accounts.Project", _plain(project)
    for member in members:
        yield "accounts.Membership", _plain(member)
    for table in TABLES:
        for row in table.rows(project):
            yield table.name, _plain(row) | LEFT_BLANK.get(table.name, {})


def _plain(row: Model, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Column name -> JSON value."""
    found = {}
    for field in row._meta.concrete_fields:
        if not names or field.attname in names:
            value = getattr(row, field.attname)
            found[field.attname] = (
                base64.b64encode(value).decode() if isinstance(value, bytes | memoryview) else value
            )
    return found


def _files(project: Project) -> Iterator[tuple[str, str]]:
    """Small text files: frozen snapshots and what each run left for people to read."""
    for snapshot in Snapshot.objects.filter(project=project).order_by("pk"):
        folder = default_store().open(snapshot.digest)
        for path in sorted(folder.iterdir()):
            yield f"snapshots/{snapshot.digest}/{path.name}", path.read_text(encoding="utf-8")
    for run in Run.objects.filter(project=project).order_by("pk"):
        root = run_folder(run.pk)
        for path in sorted(path for name in SMALL_FILES for path in root.glob(f"attempt-*/{name}")):
            text = path.read_text(encoding="utf-8").replace(
                f"{root.parent}/", "runs/"
            )  # no path of this machine
            yield f"runs/{run.pk}/{path.parent.name}/{path.name}", text


def _make_writable(target: Path) -> None:
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


# Reading.


@transaction.atomic
def read_archive(source: Path) -> Project:
    """Put an archive's project into this installation and return it; a project that is here already stays as it is."""
    loader = _Loader(source)
    with gzip.open(source / ROWS, "rb") as file:
        for line in file:
            entry = orjson.loads(line)
            if "file" in entry:
                loader.file(entry["file"], entry["text"])
            elif not loader.row(entry["table"], entry["row"]):
                break
    loader.finish()
    if loader.project is None:
        raise ValueError(f"{ROWS} holds no project; restore it from the repository.")
    return Project.objects.get(pk=loader.project)


class _Loader:
    """Collects rows of one table at a time and writes them together."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.project: UUID | None = None
        self.table = ""
        self.waiting: list[Model] = []
        self.numbers: dict[tuple[type[Model], int], int] = {}  # what the database numbered there -> and here
        self.old: list[int | None] = []
        self.users: dict[str, UUID] = {}  # id there -> id here
        self.snapshots: dict[str, dict[str, str]] = {}

    def row(self, table: str, values: dict[str, Any]) -> bool:
        """Take one row; False when the project is here already, so that no more need be read."""
        if table == "accounts.User":
            self._user(values)
            return True
        if table == "accounts.Project":
            self.project = UUID(values["id"])
            if Project.objects.filter(pk=self.project).exists():
                return False
        if table != self.table or len(self.waiting) >= AT_ONCE:
            self._write()
            self.table = table
        self._take(values)
        return True

    def file(self, name: str, text: str) -> None:
        """A small file of a run, or of a frozen snapshot."""
        kind, key, *rest = name.split("/")
        if kind == "snapshots":
            self.snapshots.setdefault(key, {})[rest[0]] = text
            return
        path = Path(settings.PRECEPTOR_RUNS_DIR) / key / rest[0] / rest[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """Write what waits, and put snapshots and weights into the store."""
        self._write()
        staging = Path(settings.PRECEPTOR_RUNS_DIR).parent / "archive-staging"
        for digest, files in self.snapshots.items():
            folder = staging / digest
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
            _put(folder, digest)
        shutil.rmtree(staging, ignore_errors=True)
        for folder in sorted((self.source / MODELS).iterdir()):
            _put(folder, folder.name)

    def _user(self, values: dict[str, Any]) -> None:
        known = User.objects.filter(username=values["username"]).first()
        if known is None:
            known = User(**values)
            known.set_unusable_password()
            known.save(force_insert=True)
        self.users[values["id"]] = known.pk

    def _take(self, values: dict[str, Any]) -> None:
        model = apps.get_model(self.table)
        found: dict[str, Any] = {}
        old: int | None = None
        for field in model._meta.concrete_fields:
            if field.attname not in values:
                continue
            value = values[field.attname]
            if isinstance(field, AutoField):
                old = value
                continue
            found[field.attname] = self._here(field, value)
        self.waiting.append(model(**found))
        self.old.append(old)

    def _here(self, field: Any, value: Any) -> Any:
        if isinstance(field, ForeignKey) and value is not None:
            if field.related_model is User:
                return self.users[value]
            return self.numbers.get((field.related_model, value), value) if isinstance(value, int) else value
        return field.to_python(value)

    def _write(self) -> None:
        if not self.waiting:
            return
        model = type(self.waiting[0])
        model._default_manager.bulk_create(self.waiting, batch_size=AT_ONCE)
        for old, row in zip(self.old, self.waiting, strict=True):
            if old is not None:
                self.numbers[model, old] = row.pk
        self.waiting, self.old = [], []


def _put(folder: Path, digest: str) -> None:
    store = default_store()
    if digest not in store and store.put_folder(folder) != digest:
        raise ValueError(
            f"{folder.name} in the archive is not what its name says; restore it from the repository."
        )


def missing_weights(project: Project) -> list[str]:
    """Names of the project's versions whose folders are not in the store."""
    store = default_store()
    return [
        version.name
        for version in ModelVersion.objects.filter(project=project).exclude(digest="")
        if version.digest not in store
    ]
