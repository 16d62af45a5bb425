"""Projects as their members see them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import membership_for, project_for
from accounts.api.serializers import EventOut, ProjectDetailOut, ProjectOut
from accounts.auth import user_of
from accounts.models import Event, Membership, Role
from accounts.selectors import actors_of, events_of, my_memberships, project_overviews
from accounts.services import change_project
from common.api import StrictSerializer


class ProjectChangeIn(StrictSerializer):
    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(
        max_length=4000, required=False, allow_blank=True, trim_whitespace=False
    )
    guidelines = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)


def project_detail(membership: Membership) -> dict[str, Any]:
    """The body of `projects/{id}/`."""
    return dict(ProjectDetailOut(project_overviews([membership])[0]).data)


class ProjectList(APIView):
    """The projects of the person who asks. Opening one needs a base model, so `post` is added by the app above."""

    @extend_schema(operation_id="list_projects", responses=ProjectOut(many=True))
    def get(self, request: Request) -> Response:
        """All of them, by name, with what is going on in each."""
        return Response(ProjectOut(project_overviews(list(my_memberships(request.user))), many=True).data)


class ProjectDetail(APIView):
    """One project."""

    @extend_schema(operation_id="get_project", responses=ProjectDetailOut)
    def get(self, request: Request, project_id: UUID) -> Response:
        """The project with its guidelines."""
        return Response(project_detail(membership_for(request.user, project_id)))

    @extend_schema(operation_id="update_project", request=ProjectChangeIn, responses=ProjectDetailOut)
    def patch(self, request: Request, project_id: UUID) -> Response:
        """Change name, description or guidelines (admins); new guidelines get the next version."""
        membership = membership_for(request.user, project_id, at_least=Role.ADMIN)
        body = ProjectChangeIn.parse(request.data)
        membership.project = change_project(project=membership.project, actor=user_of(request), **body)
        return Response(project_detail(membership))


class Events(generics.ListAPIView[Event]):
    """What happened in a project."""

    serializer_class = EventOut
    queryset = Event.objects.none()

    @extend_schema(operation_id="list_events")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Newest first (admins)."""
        project = project_for(request.user, kwargs["project_id"], at_least=Role.ADMIN)
        page = self.paginate_queryset(events_of(project)) or []
        actors = actors_of(page)
        rows = [
            {
                "id": event.pk,
                "at": event.at,
                "kind": event.kind,
                "subject": event.subject,
                "actor": actors.get(event.actor or ""),
                "data": event.data,
            }
            for event in page
        ]
        return self.get_paginated_response(EventOut(rows, many=True).data)
