"""Answers that came from outside: we have the name of what wrote them, not its weights."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from accounts.events import record
from accounts.models import Project, User
from accounts.services.names import name_line
from common.text import clean_text
from inference.models import Completion, ModelVersion, VersionKind
from inference.services.registry import VersionNameTaken


@transaction.atomic
def register_external(*, project: Project, name: str, actor: User | None = None) -> ModelVersion:
    """The external version of this name, made if need be. Raises VersionNameTaken if the name is a real version's."""
    name = name_line(name, "name", 120, required=True)
    version, created = ModelVersion.objects.get_or_create(
        project=project, name=name, defaults={"kind": VersionKind.EXTERNAL}
    )
    if version.kind != VersionKind.EXTERNAL:
        raise VersionNameTaken
    if created:
        record(
            "version.registered", subject=version, actor=actor, version_kind=VersionKind.EXTERNAL, digest=""
        )
    return version


@transaction.atomic
def add_external_completions(*, version: ModelVersion, texts: Iterable[str]) -> list[Completion]:
    """Store imported answers of an external version, in order. Raises BadText, or ValueError for a real version."""
    if version.kind != VersionKind.EXTERNAL:
        raise ValueError(f"{version.name} has weights here; its completions come from sampling jobs only")
    rows = [
        Completion(version=version, text=clean_text(text, field=f"texts.{index}"), is_external=True)
        for index, text in enumerate(texts)
    ]
    return Completion.objects.bulk_create(rows, batch_size=500)
