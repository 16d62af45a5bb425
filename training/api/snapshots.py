"""Snapshots: freeze, look, export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpResponseBase, HttpResponseNotModified, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import project_for
from accounts.models import Role
from common.api import StrictSerializer
from training.access import snapshot_for
from training.api.serializers import SnapshotOut
from training.exports import Export, formats_of
from training.models import Snapshot, SnapshotKind
from training.services.snapshots import freeze

FORMAT = OpenApiParameter("format", str, required=True, enum=["rankings", "preference", "sft", "prompts"])
SPLIT = OpenApiParameter("split", str, enum=["train", "valid", "heldout"], description="Left out: all")
NDJSON = "application/x-ndjson"


class SnapshotIn(StrictSerializer):
    kind = serializers.ChoiceField(choices=SnapshotKind.choices)


class ExportIn(StrictSerializer):
    format = serializers.CharField(max_length=20)
    split = serializers.CharField(max_length=20, required=False, default=None)


def render(snapshot: Snapshot) -> dict[str, Any]:
    """The body of a snapshot; its digest is that of the content."""
    names = ("kind", "counts", "as_of", "is_synthetic", "created_at")
    body = {"id": snapshot.pk, **{name: getattr(snapshot, name) for name in names}}
    more = {"digest": snapshot.content_sha256, "formats": formats_of(snapshot.kind)}
    return dict(SnapshotOut({**body, **more}).data)


class Snapshots(APIView):
    """The snapshots of a project."""

    scopes: ClassVar = {"POST": "runs:launch"}

    @extend_schema(operation_id="list_snapshots", responses=SnapshotOut(many=True))
    def get(self, request: Request, project_id: UUID) -> Response:
        """Newest first, at most 200 (reviewers and admins)."""
        project = project_for(request.user, project_id, at_least=Role.REVIEWER)
        found = Snapshot.objects.filter(project=project).order_by("-created_at", "-pk")[:200]
        return Response([render(snapshot) for snapshot in found])

    @extend_schema(operation_id="freeze_snapshot", request=SnapshotIn, responses={201: SnapshotOut})
    def post(self, request: Request, project_id: UUID) -> Response:
        """Freeze what there is now (admins). Where nothing has changed the earlier snapshot comes back."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        kind = SnapshotIn.parse(request.data)["kind"]
        actor: Any = request.user
        return Response(
            render(freeze(project=project, kind=kind, actor=actor)), status=status.HTTP_201_CREATED
        )


class SnapshotDetail(APIView):
    """One snapshot."""

    @extend_schema(operation_id="get_snapshot", responses=SnapshotOut)
    def get(self, request: Request, snapshot_id: UUID) -> Response:
        """Its counts, its content's hash and the formats it can be had in (reviewers and admins)."""
        return Response(render(snapshot_for(request.user, snapshot_id)))


class SnapshotExport(APIView):
    """The rows of a snapshot as a file."""

    scopes: ClassVar = {"GET": "export:read"}

    @extend_schema(
        operation_id="export_snapshot",
        parameters=[FORMAT, SPLIT],
        responses={(200, NDJSON): OpenApiResponse(OpenApiTypes.STR), 304: OpenApiResponse(None)},
    )
    def get(self, request: Request, snapshot_id: UUID) -> HttpResponseBase:
        """JSON Lines, streamed; the same bytes every time, so `If-None-Match` works (reviewers and admins)."""
        snapshot = snapshot_for(request.user, snapshot_id)
        asked = ExportIn.parse(request.query_params.dict())
        export = Export(snapshot, asked["format"], asked["split"])
        headers = {
            "ETag": export.etag,
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'attachment; filename="{export.file_name}"',
        }
        if export.etag in request.headers.get("If-None-Match", ""):
            return HttpResponseNotModified(headers=headers)
        return StreamingHttpResponse(_read(export.blocks()), content_type=NDJSON, headers=headers)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002 - DRF's
        """`?format=` is ours here, not DRF's word for a renderer; errors are JSON whatever was asked for."""
        renderer = self.get_renderers()[0]
        return renderer, renderer.media_type


async def _read(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks read in a thread: the server sends one while it waits for the next, and holds no more than that."""
    following = sync_to_async(lambda: next(blocks, None))
    while (block := await following()) is not None:
        yield block
