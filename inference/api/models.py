"""Model versions of a project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import object_for, project_for
from accounts.auth import user_of
from accounts.facts import facts
from accounts.models import Role
from common.api import StrictSerializer
from inference.api.serializers import LineageOut, VersionOut
from inference.models import ModelVersion
from inference.selectors import lineage, versions_visible_to
from inference.services import promote


class PromoteIn(StrictSerializer):
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


def render(versions: Sequence[ModelVersion]) -> list[dict[str, Any]]:
    """Bodies of versions whose parents are loaded; which run made each comes from the app that knows runs."""
    known = facts("version", [version.pk for version in versions])
    rows = [_row(version, known[version.pk]) for version in versions]
    return [dict(row) for row in VersionOut(rows, many=True).data]


def _row(version: ModelVersion, known: dict[str, Any]) -> dict[str, Any]:
    names = {str(name) for name in VersionOut().fields} - {"parents", "made_by", "round"}
    return {
        **{name: getattr(version, name) for name in names},
        "parents": [
            {"role": link.role, "id": link.parent_id, "name": link.parent.name}
            for link in version.parent_links.all()
        ],
        "made_by": known.get("made_by"),
        "round": known.get("round"),
    }


class Models(APIView):
    """Every version of a project."""

    @extend_schema(operation_id="list_models", responses=VersionOut(many=True))
    def get(self, request: Request, project_id: UUID) -> Response:
        """Newest first (reviewers and admins: labelers must not learn what they judge)."""
        project = project_for(request.user, project_id, at_least=Role.REVIEWER)
        return Response(render(list(versions_visible_to(request.user).filter(project=project))))


class Model(APIView):
    """One version."""

    @extend_schema(operation_id="get_model", responses=VersionOut)
    def get(self, request: Request, version_id: UUID) -> Response:
        """What it is and what it was made from (reviewers and admins)."""
        return Response(render([version_for(request, version_id)])[0])


class Lineage(APIView):
    """Where a version comes from, and what came of it."""

    @extend_schema(operation_id="get_lineage", responses=LineageOut)
    def get(self, request: Request, version_id: UUID) -> Response:
        """A graph of versions, runs, snapshots and labelers' shares (reviewers and admins)."""
        return Response(LineageOut(lineage(version_for(request, version_id))).data)


class Promote(APIView):
    """The decision which version is the project's policy."""

    scopes: ClassVar = {"POST": "models:promote"}

    @extend_schema(operation_id="promote_model", request=PromoteIn, responses=VersionOut)
    def post(self, request: Request, version_id: UUID) -> Response:
        """Make it the current policy; the one before is retired (admins). Again is free of effect."""
        version = version_for(request, version_id, at_least=Role.ADMIN)
        body = PromoteIn.parse(request.data or {})
        promote(version=version, actor=user_of(request), reason=body["note"])
        return Response(render([version_for(request, version_id)])[0])


def version_for(request: Request, version_id: UUID, *, at_least: Role = Role.REVIEWER) -> ModelVersion:
    """The version, if the person has at least this role in its project. Raises NotFound or RoleTooLow."""
    found: ModelVersion = object_for(
        request.user, versions_visible_to(request.user), version_id, at_least=at_least
    )
    return found
