"""One way to write down that something happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.models import Event

if TYPE_CHECKING:
    from django.db.models import Model

    from accounts.models import Project, User


def record(
    kind: str,
    *,
    subject: Model,
    actor: User | None = None,
    project: Project | None = None,
    **data: Any,
) -> Event:
    """Write an event in the transaction of what it records.

    `kind` is "<model>.<past participle>", for example "ranking.submitted". `data` is small JSON: ids and
    numbers, never texts by labelers or models, never a name or an address of a person.
    """
    return Event.objects.create(
        kind=kind,
        subject=f"{subject._meta.model_name}:{subject.pk}",
        project=project if project is not None else getattr(subject, "project", None),
        actor=str(actor.pk) if actor is not None else None,
        data=data,
    )
