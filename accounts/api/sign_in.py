"""Coming in and going out."""

from __future__ import annotations

from django.contrib.auth import login, logout
from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.me import me
from accounts.api.serializers import MeOut, Out
from accounts.auth import check_csrf
from accounts.services import sign_in_with
from accounts.services.links import LinkExpired, LinkUnknown, LinkUsed
from accounts.throttle import count_failure, refuse_if_exhausted
from common.api import StrictSerializer


class SignInIn(StrictSerializer):
    secret = serializers.CharField(
        max_length=200, trim_whitespace=True, help_text="What follows # in the link."
    )


class CsrfOut(Out):
    csrf_token = serializers.CharField()


class Csrf(APIView):
    """The token that unsafe requests of a session send as X-CSRFToken."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(operation_id="get_csrf_token", responses=CsrfOut, auth=[])
    def get(self, request: Request) -> Response:
        """Give the token out and set its cookie."""
        return Response({"csrf_token": get_token(request._request)})


class SignIn(APIView):
    """Use a sign-in link up. The page that opens it asks first, so that a mail scanner's GET uses up nothing."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(operation_id="sign_in", request=SignInIn, responses=MeOut, auth=[])
    def post(self, request: Request) -> Response:
        """Sign in; the session is a new one."""
        check_csrf(request._request)
        refuse_if_exhausted(request._request)
        body = SignInIn.parse(request.data)
        try:
            user = sign_in_with(body["secret"])
        except (LinkUnknown, LinkUsed, LinkExpired):
            count_failure(request._request)
            raise
        login(request._request, user)
        return Response(me(user))


class SignOut(APIView):
    """End the session."""

    @extend_schema(operation_id="sign_out", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Sign out on this device; the browser drops what it kept."""
        logout(request._request)
        headers = {"Clear-Site-Data": '"cache", "storage"'}
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)
