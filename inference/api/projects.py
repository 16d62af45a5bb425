"""Opening a project: it begins with a base model, so it stands here and not in accounts."""

from __future__ import annotations

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import may_create_projects, membership_for
from accounts.api.projects import ProjectList, project_detail
from accounts.api.serializers import ProjectDetailOut
from accounts.auth import user_of
from accounts.services import create_project
from common.api import StrictSerializer
from common.errors import Forbidden
from inference.api.serializers import BaseModelOut
from inference.services import base_models, register_base_model, store_base_model


class ProjectIn(StrictSerializer):
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    base_model = serializers.CharField(max_length=120, help_text="One of base-models/")
    guidelines = serializers.CharField(required=False, allow_blank=True, default="", trim_whitespace=False)


class MayNotOpen(Forbidden):
    """Only admins open projects."""

    code = "may_not_create_projects"
    message = "Only admins of a project, or of this site, may open another one. Ask one of them."


class Projects(ProjectList):
    """The projects of the person who asks."""

    @extend_schema(operation_id="create_project", request=ProjectIn, responses={201: ProjectDetailOut})
    def post(self, request: Request) -> Response:
        """Open a project whose current policy is the base model; whoever opens it is its admin."""
        if not may_create_projects(request.user):
            raise MayNotOpen
        body = ProjectIn.parse(request.data)
        stored = store_base_model(body.pop("base_model"))  # May copy gigabytes, so before the transaction.
        with transaction.atomic():
            project = create_project(creator=user_of(request), **body)
            register_base_model(project=project, stored=stored, actor=user_of(request))
        return Response(
            project_detail(membership_for(request.user, project.pk)), status=status.HTTP_201_CREATED
        )


class BaseModels(APIView):
    """What a project can start from."""

    @extend_schema(operation_id="list_base_models", responses=BaseModelOut(many=True))
    def get(self, request: Request) -> Response:
        """The models directory and the starter that ships with Preceptor, by name."""
        return Response(BaseModelOut(base_models(), many=True).data)
