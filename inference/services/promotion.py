"""Which version is the project's policy."""

from __future__ import annotations

from django.db import transaction

from accounts.events import record
from accounts.models import Project, User
from common.errors import DomainError
from inference.models import WRITES_TEXT, ModelVersion
from inference.states import STAGE_MOVES, Stage


class NotPromotable(DomainError):
    """The version is of a kind or in a stage from which this cannot be done."""

    code = "not_promotable"


@transaction.atomic
def promote(*, version: ModelVersion, actor: User | None, reason: str = "") -> ModelVersion:
    """Make `version` the project's current policy and retire the one before, in one transaction.

    Again is free of effect. Raises NotPromotable for a kind that writes no text.
    """
    version, current = _locked(version)
    if version.stage == Stage.CURRENT:
        return version
    if version.kind not in WRITES_TEXT:
        raise NotPromotable(
            f"{version.name} is of kind {version.kind}; only a model that writes text can be the policy."
        )
    if current is not None:
        _set_stage(current, Stage.RETIRED)
        record("version.retired", subject=current, actor=actor, successor=str(version.pk))
    _set_stage(version, Stage.CURRENT)
    predecessor = str(current.pk) if current else None
    record("version.promoted", subject=version, actor=actor, predecessor=predecessor, reason=reason[:200])
    return version


@transaction.atomic
def drop(*, version: ModelVersion, actor: User | None, reason: str = "") -> ModelVersion:
    """Refuse a version that was looked at. Again is free of effect. Raises NotPromotable for the current policy."""
    version, _ = _locked(version)
    if version.stage == Stage.DROPPED:
        return version
    _set_stage(version, Stage.DROPPED)
    record("version.dropped", subject=version, actor=actor, reason=reason[:200])
    return version


def _locked(version: ModelVersion) -> tuple[ModelVersion, ModelVersion | None]:
    """The version read again and the current policy, with the project's row held: promotions queue up behind it."""
    Project.objects.select_for_update().get(pk=version.project_id)
    fresh = ModelVersion.objects.get(pk=version.pk)
    return fresh, ModelVersion.objects.filter(project_id=version.project_id, stage=Stage.CURRENT).first()


def _set_stage(version: ModelVersion, stage: Stage) -> None:
    sources = [old for old, targets in STAGE_MOVES.items() if stage in targets]
    if not ModelVersion.objects.filter(pk=version.pk, stage__in=sources).update(stage=stage):
        raise NotPromotable(f"{version.name} is {version.stage} and cannot become {stage.label.lower()}.")
    version.stage = stage
