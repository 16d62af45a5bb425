"""Who works in a project."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import project_for
from accounts.api.serializers import InvitedOut, LinkOut, MemberOut
from accounts.auth import user_of
from accounts.models import Membership, Pool, Role
from accounts.selectors import members_of
from accounts.services import change_member, invite, link_for_member, remove_member
from common.api import StrictSerializer


class InviteIn(StrictSerializer):
    username = serializers.CharField(max_length=63)
    display_name = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")
    role = serializers.ChoiceField(choices=Role.choices)
    pool = serializers.ChoiceField(choices=Pool.choices, required=False, default=Pool.TRAIN)
    is_synthetic = serializers.BooleanField(
        required=False,
        default=False,
        help_text="A program that labels; everything it answers carries the mark.",
    )


class MemberIn(StrictSerializer):
    role = serializers.ChoiceField(choices=Role.choices, required=False)
    pool = serializers.ChoiceField(choices=Pool.choices, required=False)
    weight = serializers.FloatField(
        required=False,
        help_text="How much each of this person's rankings counts in training: above 0, up to 10",
    )


class Members(APIView):
    """Everybody in the project."""

    @extend_schema(operation_id="list_members", responses=MemberOut(many=True))
    def get(self, request: Request, project_id: UUID) -> Response:
        """By name (admins)."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        return Response(MemberOut(members_of(project), many=True).data)

    @extend_schema(operation_id="invite_member", request=InviteIn, responses={201: InvitedOut})
    def post(self, request: Request, project_id: UUID) -> Response:
        """Make a person a member; a new person is made, with a sign-in link that is shown once (admins)."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        body = InviteIn.parse(request.data)
        member, link = invite(project=project, actor=user_of(request), **body)
        return Response({"member": _told(member), "sign_in_link": link}, status=status.HTTP_201_CREATED)


class Member(APIView):
    """One membership."""

    @extend_schema(operation_id="update_member", request=MemberIn, responses=MemberOut)
    def patch(self, request: Request, project_id: UUID, user_id: UUID) -> Response:
        """Change role, pool or weight (admins); the last admin stays one, and snapshots keep the weights they were made with."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        body = MemberIn.parse(request.data)
        member = change_member(project=project, user_id=user_id, actor=user_of(request), **body)
        return Response(_told(member))

    @extend_schema(operation_id="remove_member", responses={204: None})
    def delete(self, request: Request, project_id: UUID, user_id: UUID) -> Response:
        """End the membership (admins); what the person did stays."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        remove_member(project=project, user_id=user_id, actor=user_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class MemberLink(APIView):
    """A fresh way in for a member."""

    @extend_schema(operation_id="create_sign_in_link", request=None, responses={201: LinkOut})
    def post(self, request: Request, project_id: UUID, user_id: UUID) -> Response:
        """A sign-in link, shown once (admins; not for people who also work where you are no admin)."""
        project = project_for(request.user, project_id, at_least=Role.ADMIN)
        link = link_for_member(project=project, user_id=user_id, actor=user_of(request))
        return Response({"sign_in_link": link}, status=status.HTTP_201_CREATED)


def _told(member: Membership) -> dict[str, Any]:
    return MemberOut(members_of(member.project).get(pk=member.pk)).data
