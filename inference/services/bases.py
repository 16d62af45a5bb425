"""Base models: what lies in the models directory, and the starter that ships with Preceptor.

Pages and REST choose by name among these folders; no text of a request ever becomes part of a path.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from accounts.models import Project, User
from common.errors import FieldError, InvalidInput
from common.storage import default_store
from inference.engine.folder import UnsafeModelFolder, check_version_folder, digest_folder
from inference.models import ModelVersion, VersionKind
from inference.services.folder_facts import read_facts
from inference.services.promotion import promote
from inference.services.registry import UnsafeVersion, register_version, store_version
from inference.states import Stage

STARTER = Path(__file__).resolve().parent.parent / "starter"
PIN_SUFFIX = ".pin.json"
BASE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class BaseModelUnknown(InvalidInput):
    """No base model of this name can be chosen."""

    code = "base_model_unknown"


class BaseModel(NamedTuple):
    """A folder that may be chosen as the model to start from."""

    name: str
    folder: Path
    parameters: int  # weights
    context_tokens: int
    card: str


class StoredBase(NamedTuple):
    """A base model whose folder is in the store."""

    base: BaseModel
    digest: str


def base_models() -> list[BaseModel]:
    """Every usable base model, by name; a folder that could run code or is damaged is left out."""
    found: dict[str, BaseModel] = {}
    for name, folder in _folders():
        try:
            check_version_folder(folder)
            facts = read_facts(folder)
        except (UnsafeModelFolder, ValueError, OSError):
            continue
        found.setdefault(name, BaseModel(name, folder, facts.parameters, facts.context_tokens, facts.card))
    return [found[name] for name in sorted(found)]


def store_base_model(base_name: str) -> StoredBase:
    """A base model by name, in the store. What `add_base_model` put there is not read again: whoever loads it does.

    Else every byte is copied, so call it where no transaction is open. Raises BaseModelUnknown, or UnsafeVersion if
    the folder is not what was pinned when it was added.
    """
    found = base_models()
    chosen = next((base for base in found if base.name == base_name), None)
    if chosen is None:
        names = ", ".join(base.name for base in found) or "none; an operator adds one with add_base_model"
        message = f"base_model: no such base model. Known here: {names}."
        raise BaseModelUnknown(message, errors=[FieldError("base_model", BaseModelUnknown.code, message)])
    pinned = _pinned(chosen)
    if pinned in default_store():
        return StoredBase(chosen, pinned)
    digest = store_version(chosen.folder)
    if pinned not in ("", digest):
        raise UnsafeVersion(
            f"{chosen.name}: the folder was changed after it was added. Add it again with add_base_model."
        )
    return StoredBase(chosen, digest)


@transaction.atomic
def register_base_model(*, project: Project, stored: StoredBase, actor: User | None = None) -> ModelVersion:
    """Register a base model in the project; the first one becomes its current policy. Again is the same row."""
    base, digest = stored
    version = register_version(
        project=project,
        kind=VersionKind.BASE,
        folder=base.folder,
        digest=digest,
        name=base.name,
        card=base.card,
        actor=actor,
    )
    if not ModelVersion.objects.filter(project=project, stage=Stage.CURRENT).exists():
        version = promote(version=version, actor=actor, reason="the model that the project starts from")
    return version


def add_base_model(*, source: Path, name: str, origin: str) -> BaseModel:
    """Copy a checked folder into the models directory as `name`, all or nothing, with its hash pinned beside it.

    The store gets it too, so that projects can start from it at once.
    `origin` says where it comes from. The same content again is free of effect; another content under a name that is
    taken is refused. Raises UnsafeVersion or InvalidInput.
    """
    if not BASE_NAME.fullmatch(name) or name.endswith(PIN_SUFFIX):
        raise InvalidInput(
            "name: 1 to 63 of a-z, 0-9, dot, dash and underscore, beginning with a letter or a digit."
        )
    root = Path(settings.PRECEPTOR_MODELS_DIR)
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".adding-", dir=root))
    try:
        copy, target = staging / name, root / name
        digest = _copy_checked(source, copy)
        is_new = not target.exists()
        if not is_new and digest_folder(target)[0] != digest:
            raise InvalidInput(
                f"name: {name} is taken by another model. Choose another name, or remove {target}."
            )
        # Now, by an operator who can wait: no request for a project has to copy gigabytes.
        store_version(copy)
        if is_new:
            pin = {"digest": digest, "origin": origin}
            pin_of(target).write_text(json.dumps(pin, indent=2) + "\n", encoding="utf-8")
            copy.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    facts = read_facts(target)
    return BaseModel(name, target, facts.parameters, facts.context_tokens, facts.card)


def pin_of(folder: Path) -> Path:
    """Where the hash of a base model stands that `add_base_model` put there."""
    return folder.with_name(folder.name + PIN_SUFFIX)


def _copy_checked(source: Path, copy: Path) -> str:
    """Copy what a version may hold and check the copy, because the source may still be changed; its digest."""
    try:
        check_version_folder(source)
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".*"))
        check_version_folder(copy)
        read_facts(copy)
        return digest_folder(copy)[0]
    except (UnsafeModelFolder, ValueError, OSError) as error:
        raise UnsafeVersion(str(error)) from error


def _folders() -> Iterator[tuple[str, Path]]:
    """Names and folders: the operator's own come first, so one of them may stand in for the starter."""
    for root in (settings.PRECEPTOR_MODELS_DIR, STARTER):
        if (root / "config.json").is_file():
            yield root.name, root
        elif root.is_dir():
            yield from (
                (path.name, path) for path in sorted(root.iterdir()) if (path / "config.json").is_file()
            )


def _pinned(base: BaseModel) -> str:
    """The digest that stands beside the folder; empty where nobody pinned it."""
    pin = pin_of(base.folder)
    return str(json.loads(pin.read_text(encoding="utf-8"))["digest"]) if pin.is_file() else ""
