"""Runs: look, follow, cancel, retry."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import project_for
from accounts.models import Role
from common.api import StrictSerializer
from common.errors import DomainError
from training.access import run_for
from training.api.serializers import MetricsOut, RunOut, SampleOut
from training.models import Run
from training.selectors.runs import glossary, log_of, metric_rows, run_body, runs_visible_to, samples_of
from training.services import rounds
from training.services.runs import cancel_run, retry_run
from training.states import ENDED, RoundState

AFTER = OpenApiParameter("after", int, description="Only rows after this step")


class RoundEnded(DomainError):
    """The run belongs to a round that is over."""

    code = "round_ended"
    message = "The round of this run is over, so nothing would come of it. Open a new round."


class AfterIn(StrictSerializer):
    after = serializers.IntegerField(required=False, default=-1, min_value=-1)


def render(run: Run) -> dict[str, Any]:
    """The body of a run that was loaded by `runs_visible_to`."""
    return dict(RunOut(run_body(run)).data)


class Runs(APIView):
    """The runs of a project."""

    @extend_schema(operation_id="list_runs", responses=RunOut(many=True))
    def get(self, request: Request, project_id: UUID) -> Response:
        """Newest first, at most 200 (reviewers and admins)."""
        project = project_for(request.user, project_id, at_least=Role.REVIEWER)
        return Response([render(run) for run in runs_visible_to(request.user).filter(project=project)[:200]])


class RunDetail(APIView):
    """One run."""

    @extend_schema(operation_id="get_run", responses=RunOut)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Its state, settings, attempts and result (reviewers and admins)."""
        run_for(request.user, run_id)
        return Response(render(runs_visible_to(request.user).get(pk=run_id)))


class Metrics(APIView):
    """The numbers of a run."""

    @extend_schema(operation_id="get_run_metrics", responses=MetricsOut, parameters=[AFTER])
    def get(self, request: Request, run_id: UUID) -> Response:
        """One row a step, and what every number means (reviewers and admins)."""
        run = run_for(request.user, run_id)
        after = AfterIn.parse(request.query_params.dict())["after"]
        return Response({"glossary": glossary(), "rows": metric_rows(run, after=after)})


class Samples(APIView):
    """What the model said while it learned."""

    @extend_schema(operation_id="get_run_samples", responses=SampleOut(many=True))
    def get(self, request: Request, run_id: UUID) -> Response:
        """Answers to a few fixed prompts, oldest first (reviewers and admins)."""
        return Response(samples_of(run_for(request.user, run_id)))


class Log(APIView):
    """The words of the process."""

    @extend_schema(
        operation_id="get_run_log", responses={(200, "text/plain"): OpenApiResponse(OpenApiTypes.STR)}
    )
    def get(self, request: Request, run_id: UUID) -> HttpResponse:
        """The last 64 KiB that the newest attempt wrote (admins)."""
        run = run_for(request.user, run_id, at_least=Role.ADMIN)
        return HttpResponse(log_of(run), content_type="text/plain; charset=utf-8")


class CancelRun(APIView):
    """The end of a run."""

    scopes: ClassVar = {"POST": "runs:launch"}

    @extend_schema(operation_id="cancel_run", request=None, responses=RunOut)
    def post(self, request: Request, run_id: UUID) -> Response:
        """A queued run ends now, a running one within thirty seconds (admins). Again is free of effect."""
        run = run_for(request.user, run_id, at_least=Role.ADMIN)
        cancel_run(run=run, actor=request.user)  # type: ignore[arg-type]  # run_for lets no anonymous user through
        return Response(render(runs_visible_to(request.user).get(pk=run_id)))


class RetryRun(APIView):
    """Another try of a run."""

    scopes: ClassVar = {"POST": "runs:launch"}

    @extend_schema(operation_id="retry_run", request=None, responses=RunOut)
    def post(self, request: Request, run_id: UUID) -> Response:
        """Goes on from the last good checkpoint; a round that failed for it goes on too (admins)."""
        run = run_for(request.user, run_id, at_least=Role.ADMIN)
        actor: Any = request.user
        if run.round is not None and run.round.state == RoundState.FAILED:
            rounds.retry(round=run.round, actor=actor)
        elif run.round is not None and run.round.state in ENDED:
            raise RoundEnded
        else:
            retry_run(run=run, actor=actor)
        return Response(render(runs_visible_to(request.user).get(pk=run_id)))
