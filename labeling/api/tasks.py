"""The queue as labelers meet it."""

from __future__ import annotations

from typing import Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import project_for
from accounts.models import User
from common.api import fingerprint, idempotency_key, if_match
from common.errors import DomainError, InvalidInput
from labeling.access import assignment_for, own_assignment
from labeling.api import inputs, outputs
from labeling.errors import PreconditionMissing
from labeling.selectors.answers import answer_of, own_assignments, summary
from labeling.selectors.payload import assignment_payload
from labeling.services.assignment import heartbeat, next_assignment, release
from labeling.services.drafts import draft_of, save_draft
from labeling.services.skips import skip
from labeling.services.submissions import Submitted, submit_demonstration, submit_ranking
from labeling.states import AssignmentState

KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=True)
CONDITIONS = [
    OpenApiParameter(
        "If-Match", str, OpenApiParameter.HEADER, description='"<revision>" of the draft that you have'
    ),
    OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="* for the first draft"),
]


class NoDraft(DomainError):
    """Nothing was saved yet."""

    code = "no_draft"
    message = "There is no draft of this assignment."
    status = 404


class NextTask(APIView):
    """The next task under a lease."""

    scopes: ClassVar = {"POST": "tasks:work"}

    @extend_schema(
        request=inputs.NextIn, responses=outputs.NextAssignmentSerializer, operation_id="next_task"
    )
    def post(self, request: Request, project_id: UUID) -> Response:
        """Lease the next task, or get the one that you hold; an empty answer says why and when to ask again."""
        body = inputs.NextIn.parse(request.data)
        project = project_for(request.user, project_id)
        found = next_assignment(
            project=project,
            labeler=cast(User, request.user),
            kinds=body.get("kinds"),
            prefetch=body["prefetch"],
        )
        return Response(found)


class OwnAssignments(APIView):
    """The labeler's own work."""

    @extend_schema(
        parameters=[
            OpenApiParameter("project", UUID),
            OpenApiParameter("state", str, enum=AssignmentState.values),
        ],
        responses=outputs.AssignmentSummarySerializer(many=True),
        operation_id="list_own_assignments",
    )
    def get(self, request: Request) -> Response:
        """Your last 50 assignments, newest first."""
        state = request.query_params.get("state")
        if state is not None and state not in AssignmentState.values:
            raise InvalidInput(f"state: expected one of {', '.join(AssignmentState.values)}.")
        rows = own_assignments(request.user, project_id=_uuid(request, "project"), state=state)
        return Response([summary(row) for row in rows])


class OneAssignment(APIView):
    """One of the labeler's own assignments."""

    @extend_schema(responses=outputs.AssignmentSerializer, operation_id="get_assignment")
    def get(self, request: Request, assignment_id: UUID) -> Response:
        """The task, your draft, and your answer if you gave one."""
        assignment = own_assignment(request.user, assignment_id)
        payload = assignment_payload(assignment.pk)
        payload["answer"] = answer_of(assignment)
        return Response(payload)


class OneDraft(APIView):
    """The unsent answer."""

    scopes: ClassVar = {"PUT": "tasks:work"}

    @extend_schema(responses=outputs.AssignmentDraftSerializer, operation_id="get_draft")
    def get(self, request: Request, assignment_id: UUID) -> Response:
        """Your draft; 404 `no_draft` if there is none."""
        draft = draft_of(own_assignment(request.user, assignment_id))
        if draft is None:
            raise NoDraft
        return Response(draft, headers={"ETag": f'"{draft["revision"]}"'})

    @extend_schema(
        parameters=CONDITIONS,
        request=inputs.DraftIn,
        responses=outputs.DraftSavedSerializer,
        operation_id="save_draft",
    )
    def put(self, request: Request, assignment_id: UUID) -> Response:
        """Save the draft over the revision named in If-Match; 412 `draft_stale` brings the newer one."""
        body = inputs.DraftIn.parse(request.data)
        revision = if_match(request)
        if revision is None and request.headers.get("If-None-Match") != "*":
            raise PreconditionMissing
        assignment = own_assignment(request.user, assignment_id)
        saved = save_draft(assignment=assignment, content=body["content"], revision=revision)
        return Response(saved, headers={"ETag": f'"{saved["revision"]}"'})


class SubmitAnswer(APIView):
    """The answer to a task."""

    scopes: ClassVar = {"POST": "submissions:write"}

    @extend_schema(
        parameters=[KEY],
        request=inputs.SubmitIn,
        responses={201: outputs.SubmitResultSerializer, 200: outputs.SubmitResultSerializer},
        operation_id="submit_answer",
    )
    def post(self, request: Request, assignment_id: UUID) -> Response:
        """Submit (201), repeat the same request (200, same answer), or correct with a new key (next revision)."""
        key = idempotency_key(request, required=True) or ""
        body = inputs.SubmitIn.parse(request.data)
        assignment = assignment_for(request.user, assignment_id)
        said = {name: value for name, value in cast(dict[str, Any], request.data).items() if name != "next"}
        following = body.pop("next", None)
        common: dict[str, Any] = {
            "assignment": assignment,
            "note": body["note"],
            "active_ms": body["active_ms"],
            "key": key,
            "fingerprint": fingerprint({"assignment": str(assignment_id), "body": said}),
            "next_kinds": None if following is None else following.get("kinds") or [],
        }
        done = _submit(body, common)
        return Response({"answer": done.answer, "next": done.next}, status=200 if done.is_replay else 201)


def _submit(body: dict[str, Any], common: dict[str, Any]) -> Submitted:
    if ("text" in body) == ("tiers" in body):
        raise InvalidInput("Send `text` for a demonstration or `tiers` for a ranking, one of them.")
    if "text" in body:
        if "likert" in body or "confidence" in body:
            raise InvalidInput("likert and confidence belong to rankings only.")
        return submit_demonstration(text=body["text"], **common)
    return submit_ranking(
        tiers=body["tiers"], likert=body.get("likert"), confidence=body.get("confidence"), **common
    )


class SkipTask(APIView):
    """Pass a task over."""

    scopes: ClassVar = {"POST": "tasks:work"}

    @extend_schema(request=inputs.SkipIn, responses=outputs.SkipResultSerializer, operation_id="skip_task")
    def post(self, request: Request, assignment_id: UUID) -> Response:
        """Skip with a reason; the task is never offered to you again."""
        body = inputs.SkipIn.parse(request.data)
        following = body.get("next")
        kinds = None if following is None else following.get("kinds") or []
        assignment = assignment_for(request.user, assignment_id)
        found = skip(assignment=assignment, reason=body["reason"], note=body["note"], next_kinds=kinds)
        return Response({"next": found})


class ReleaseTask(APIView):
    """Give a task back."""

    scopes: ClassVar = {"POST": "tasks:work"}

    @extend_schema(request=None, responses={204: None}, operation_id="release_task")
    def post(self, request: Request, assignment_id: UUID) -> Response:
        """Give the task back; your draft is kept."""
        release(assignment=assignment_for(request.user, assignment_id))
        return Response(status=204)


class Heartbeat(APIView):
    """Somebody is at work."""

    scopes: ClassVar = {"POST": "tasks:work"}

    @extend_schema(
        request=inputs.HeartbeatIn, responses=outputs.LeaseSerializer, operation_id="send_heartbeat"
    )
    def post(self, request: Request, assignment_id: UUID) -> Response:
        """Count the time and renew the lease; 409 `lease_ended` when it cannot be renewed."""
        body = inputs.HeartbeatIn.parse(request.data)
        assignment = assignment_for(request.user, assignment_id)
        return Response({"lease_until": heartbeat(assignment=assignment, active_ms=body["active_ms"])})


def _uuid(request: Request, name: str) -> UUID | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(f"{name}: expected a UUID.") from None
