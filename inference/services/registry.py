"""Model versions: immutable folders in the content-addressed store, and what made them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from accounts.events import record
from accounts.models import Project, User
from accounts.services.names import name_line
from common.errors import DomainError, InvalidInput
from common.storage import StorageError, default_store
from inference.engine.folder import UnsafeModelFolder, check_tokenizer_fits, check_version_folder
from inference.models import ModelVersion, VersionKind, VersionParent
from inference.services.folder_facts import FolderFacts, read_facts
from inference.states import Stage


class UnsafeVersion(InvalidInput):
    """The folder is no model folder, or loading it could run code."""

    code = "unsafe_model_folder"
    status = 422


class VersionNameTaken(DomainError):
    """Another version of the project has this name."""

    code = "version_name_taken"
    message = "name: another version of this project has this name already. Choose another one."


def register_version(
    *,
    project: Project,
    kind: str,
    folder: Path,
    name: str,
    digest: str = "",
    parents: Mapping[str, ModelVersion] | None = None,
    metrics: Mapping[str, Any] | None = None,
    card: str = "",
    is_synthetic: bool = False,
    stage: str = Stage.READY,
    actor: User | None = None,
) -> ModelVersion:
    """Copy `folder` into the store and register it. The same name, kind and content again is the same row.

    Where the store has `digest` already (see `store_version`), nothing is copied and `folder` is not read. `parents` maps a role (model, reference, reward) to a version of the same project. Raises UnsafeVersion for a
    folder that could run code or is damaged, VersionNameTaken for another content under this name.
    """
    parents = dict(parents or {})
    if any(parent.project_id != project.pk for parent in parents.values()):
        raise InvalidInput(
            "parents: a version's parents are versions of the same project.", code="foreign_parent"
        )
    name = name_line(name, "name", 120, required=True)
    if digest not in default_store():
        digest = store_version(folder)
    facts = _facts_of(digest)
    try:
        with transaction.atomic():
            version = ModelVersion.objects.create(
                project=project,
                name=name,
                kind=kind,
                stage=stage,
                digest=digest,
                tokenizer_digest=facts.tokenizer_digest,
                parameters=facts.parameters,
                context_tokens=facts.context_tokens,
                metrics=dict(metrics or {}),
                card=card or facts.card,
                is_synthetic=is_synthetic,
            )
            VersionParent.objects.bulk_create(
                VersionParent(child=version, parent=parent, role=role) for role, parent in parents.items()
            )
            record("version.registered", subject=version, actor=actor, version_kind=str(kind), digest=digest)
    except IntegrityError:
        return _same_again(project, name, str(kind), digest)
    return version


def store_version(folder: Path) -> str:
    """Check `folder` and copy it into the store; its digest. Raises UnsafeVersion.

    Reads every byte, which may be gigabytes: call it where no transaction is open, and hand the digest on.
    """
    try:
        check_version_folder(folder)
        check_tokenizer_fits(folder)
        return default_store().put_folder(folder)
    except (UnsafeModelFolder, StorageError) as error:
        raise UnsafeVersion(str(error)) from error


def _facts_of(digest: str) -> FolderFacts:
    """Of the stored copy: the folder that was handed in may still be changed by its owner."""
    try:
        stored = default_store().open(digest)
        check_version_folder(stored)
        return read_facts(stored)
    except (UnsafeModelFolder, StorageError, ValueError) as error:
        raise UnsafeVersion(str(error)) from error


def _same_again(project: Project, name: str, kind: str, digest: str) -> ModelVersion:
    found = ModelVersion.objects.filter(project=project, name=name).first()
    if found is None or found.kind == VersionKind.EXTERNAL or (found.kind, found.digest) != (kind, digest):
        raise VersionNameTaken
    return found
