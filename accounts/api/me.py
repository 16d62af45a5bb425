"""Who am I, and my tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import may_create_projects, project_for
from accounts.api.serializers import LANGUAGES, MeOut, NewTokenOut, TokenOut
from accounts.auth import SCOPES, user_of
from accounts.models import User
from accounts.selectors import my_memberships, tokens_of
from accounts.services import create_token, revoke_token, update_profile
from common.api import StrictSerializer
from common.errors import Forbidden, NotFound


class MeIn(StrictSerializer):
    display_name = serializers.CharField(max_length=80, required=False)
    language = serializers.ChoiceField(choices=LANGUAGES, required=False)


class TokenIn(StrictSerializer):
    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)), min_length=1)
    project = serializers.UUIDField(required=False, allow_null=True, default=None)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class TokenMakesToken(Forbidden):
    """A token that could make tokens would outlive its own end."""

    code = "session_needed"
    message = "Tokens are made and revoked in the browser, not by other tokens. Sign in."


def me(user: User) -> dict[str, Any]:
    """The body of `me/`."""
    memberships = list(my_memberships(user))
    return dict(
        MeOut(
            {
                "id": user.pk,
                "username": user.username,
                "display_name": user.display_name,
                "language": user.language or None,
                "is_synthetic": user.is_synthetic,
                "may_create_projects": may_create_projects(user, memberships),
                "memberships": memberships,
            }
        ).data
    )


class Me(APIView):
    """The person who asks."""

    @extend_schema(operation_id="get_me", responses=MeOut)
    def get(self, request: Request) -> Response:
        """Name, language and memberships."""
        return Response(me(user_of(request)))

    @extend_schema(operation_id="update_me", request=MeIn, responses=MeOut)
    def patch(self, request: Request) -> Response:
        """Change one's name or language."""
        body = MeIn.parse(request.data)
        return Response(me(update_profile(user=user_of(request), **body)))


class Tokens(APIView):
    """One's own bearer tokens."""

    @extend_schema(operation_id="list_tokens", responses=TokenOut(many=True))
    def get(self, request: Request) -> Response:
        """All that were not revoked, newest first; a secret is never shown again."""
        return Response(TokenOut(tokens_of(user_of(request)), many=True).data)

    @extend_schema(operation_id="create_token", request=TokenIn, responses={201: NewTokenOut})
    def post(self, request: Request) -> Response:
        """Make a token. Without `expires_at` it lives for 90 days."""
        _refuse_tokens(request)
        body = TokenIn.parse(request.data)
        project = project_for(request.user, body["project"]) if body["project"] else None
        token, secret = create_token(
            user=user_of(request),
            name=body["name"],
            scopes=body["scopes"],
            project=project,
            expires_at=body["expires_at"],
        )
        return Response({**TokenOut(token).data, "token": secret}, status=status.HTTP_201_CREATED)


class Token(APIView):
    """One token."""

    @extend_schema(operation_id="revoke_token", responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        """Revoke it; the next request with it is refused."""
        _refuse_tokens(request)
        token = tokens_of(user_of(request)).filter(pk=token_id).first()
        if token is None:
            raise NotFound
        revoke_token(token=token, actor=user_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _refuse_tokens(request: Request) -> None:
    if request.auth is not None:
        raise TokenMakesToken
