"""Prompts: list, add, import."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import IO, Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import object_for, project_for
from accounts.models import Role, User
from common.api import Pages
from common.errors import InvalidInput, NotFound
from labeling.api import inputs, outputs
from labeling.identity import Message
from labeling.models import Prompt, PromptSource, Split
from labeling.selectors.prompts import near_duplicate_of, prompts_for
from labeling.services.prompts import add_prompt, clear_pii, import_prompts
from labeling.services.sift import MAX_PER_OWNER

MAX_IMPORT_BYTES = 1 << 30
IN_MEMORY = 1 << 20


class FileTooLarge(APIException):
    """More than one import takes."""

    status_code = 413
    default_code = "file_too_large"
    default_detail = f"The file is larger than {MAX_IMPORT_BYTES >> 20} MB. Split it and send the parts."


class LinesParser(BaseParser):
    """A body of JSON lines, spooled to a temporary file: no slow client holds a transaction open."""

    media_type = "application/x-ndjson"

    def parse(  # type: ignore[override]  # DRF's parsers may give anything; its stubs know two things
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> IO[bytes]:
        """The spooled body. Raises FileTooLarge."""
        spooled: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the request
        size = 0
        while block := stream.read(IN_MEMORY):
            size += len(block)
            if size > MAX_IMPORT_BYTES:
                raise FileTooLarge
            spooled.write(block)
        spooled.seek(0)
        return spooled


class Prompts(APIView):
    """The prompts of a project."""

    scopes: ClassVar = {"POST": "prompts:write"}

    @extend_schema(
        parameters=[
            OpenApiParameter("split", str, enum=Split.values),
            OpenApiParameter("source", str, enum=PromptSource.values),
            OpenApiParameter("search", str, description="A piece of text in any message"),
            OpenApiParameter("pii", bool, description="1: only prompts with personal data"),
            OpenApiParameter("cursor", str),
            OpenApiParameter("page_size", int),
        ],
        responses=outputs.PromptPageSerializer,
        operation_id="list_prompts",
    )
    def get(self, request: Request, project_id: UUID) -> Response:
        """Newest first (reviewers and admins)."""
        project_for(request.user, project_id, at_least=Role.REVIEWER)
        asked = {name: request.query_params.get(name, "") for name in ("split", "source", "search")}
        for name, known in (("split", Split.values), ("source", PromptSource.values)):
            if asked[name] and asked[name] not in known:
                raise InvalidInput(f"{name}: expected one of {', '.join(known)}.")
        if "\x00" in asked["search"]:
            raise InvalidInput("search: there is a NUL character. Take it out.")
        rows = prompts_for(request.user, project_id, **asked, flagged=_is_on(request, "pii"))
        pages = Pages()
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([render(prompt) for prompt in page])

    @extend_schema(
        request=inputs.PromptIn,
        responses={201: outputs.AddedPromptSerializer, 200: outputs.AddedPromptSerializer},
        operation_id="add_prompt",
    )
    def post(self, request: Request, project_id: UUID) -> Response:
        """Add one (admins): 201; 200 with the one that is there if the project has it already."""
        body = inputs.PromptIn.parse(request.data)
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        if ("prompt" in body) == ("messages" in body):
            raise InvalidInput("Send `prompt` (a text) or `messages`, one of them.")
        messages: str | list[Message] = body["prompt"] if "prompt" in body else body["messages"]
        prompt, is_new = add_prompt(
            project=project,
            messages=messages,
            actor=cast(User, request.user),
            owner_key=body["owner_key"],
            tags=body["tags"],
        )
        shown = prompts_for(request.user, project_id).get(pk=prompt.pk)
        body = {**render(shown), "is_new": is_new, "like_prompt": near_duplicate_of(prompt)}
        return Response(body, status=201 if is_new else 200)


class OnePrompt(APIView):
    """One prompt."""

    @extend_schema(responses=outputs.PromptSerializer, operation_id="get_prompt")
    def get(self, request: Request, prompt_id: UUID) -> Response:
        """The prompt (reviewers and admins)."""
        prompt = prompts_for(request.user).filter(pk=prompt_id).first()
        if prompt is None:
            raise NotFound
        return Response(render(prompt))


class ClearPii(APIView):
    """A flag that was wrong."""

    scopes: ClassVar = {"POST": "prompts:write"}

    @extend_schema(request=None, responses=outputs.PromptSerializer, operation_id="clear_prompt_pii")
    def post(self, request: Request, prompt_id: UUID) -> Response:
        """Say that what was found is nobody's personal data, so that training may read the prompt (admins)."""
        prompt = object_for(request.user, Prompt.objects.all(), prompt_id, at_least=Role.ADMIN)
        clear_pii(prompt=prompt, actor=cast(User, request.user))
        return Response(render(prompts_for(request.user).get(pk=prompt_id)))


class PromptImport(APIView):
    """Prompts from a file of JSON lines."""

    unsupported = (
        "Send the lines as the form field `file` (multipart/form-data) or as the body (application/x-ndjson):"
        " curl -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/x-ndjson' --data-binary @prompts.jsonl"
        ' "$HOST/api/v1/projects/$ID/prompts/import/"'
    )

    parser_classes = (MultiPartParser, LinesParser)
    scopes: ClassVar = {"POST": "prompts:write"}

    @extend_schema(
        parameters=[
            OpenApiParameter("dry_run", bool, description="1: try everything, write nothing"),
            OpenApiParameter(
                "keep_near_duplicates",
                bool,
                description="1: take prompts that begin like another one for 200 characters, too",
            ),
            OpenApiParameter(
                "max_per_owner",
                int,
                description=f"Prompts that one owner may have in the project, at least 1; `none`: any number."
                f" Default {MAX_PER_OWNER}.",
            ),
        ],
        request={"multipart/form-data": inputs.ImportIn, "application/x-ndjson": bytes},
        responses={201: outputs.ImportReportSerializer, 200: outputs.ImportReportSerializer},
        operation_id="import_prompts",
    )
    def post(self, request: Request, project_id: UUID) -> Response:
        """Import all rows (201) or none (422 `import_refused` names the bad ones); admins."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        dry_run = _is_on(request, "dry_run")
        keep = _is_on(request, "keep_near_duplicates")
        cap = _cap(request.query_params.get("max_per_owner", str(MAX_PER_OWNER)))
        stream = _file(request.data)
        with stream:
            report = import_prompts(
                project=project,
                stream=stream,
                actor=cast(User, request.user),
                dry_run=dry_run,
                keep_near_duplicates=keep,
                max_per_owner=cap,
            )
        return Response(report, status=200 if dry_run else 201)


def _is_on(request: Request, name: str) -> bool:
    return request.query_params.get(name, "") in ("1", "true")


def _cap(asked: str) -> int | None:
    """The query's `max_per_owner`. Raises InvalidInput."""
    if asked == "none":
        return None
    if not (asked.isascii() and asked.isdigit() and 1 <= int(asked[:10]) < 1 << 31):
        raise InvalidInput("max_per_owner: expected a whole number of at least 1, or none.")
    return int(asked)


def _file(data: Any) -> IO[bytes]:
    if not isinstance(data, Mapping):
        return cast(IO[bytes], data)
    upload = data.get("file")
    if upload is None or isinstance(upload, str):
        ways = "Send JSON lines, as the form field `file` or as the body (application/x-ndjson)"
        raise InvalidInput(f"The file is empty, or there is none. {ways}.", code="file_missing")
    if upload.size > MAX_IMPORT_BYTES:
        raise FileTooLarge
    return cast(IO[bytes], upload.file)


def render(prompt: Prompt) -> dict[str, Any]:
    """The body of a prompt that came from `prompts_for`."""
    counts = {"demonstration": prompt.demonstration_tasks, "ranking": prompt.ranking_tasks}  # type: ignore[attr-defined]
    names = ("id", "messages", "split", "source", "pii", "external_id", "tags", "created_at")
    return {name: getattr(prompt, name) for name in names} | {"tasks": counts}
