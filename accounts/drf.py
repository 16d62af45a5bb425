"""DRF's side of accounts/auth.py.

A view says which scope a token needs for an unsafe method:

    class SubmitAnswer(APIView):
        scopes: ClassVar = {"POST": "submissions:write"}

Without a line a token needs `read` for GET and HEAD, and `admin` for everything else: closed by default.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts.auth import Unauthenticated, authenticate_request, check_csrf, require_scope
from accounts.models import ApiToken, User


class PreceptorAuthentication(BaseAuthentication):
    """A session with its CSRF token, or a bearer token with its scopes."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken | None] | None:
        """`request.user` and `request.auth`. Raises AuthenticationFailed (CSRF) or ScopeMissing."""
        try:
            identity = authenticate_request(request._request)
        except Unauthenticated as error:
            raise AuthenticationFailed(error.detail, error.error_code) from None
        if identity is None:
            return None
        if identity.token is None:
            check_csrf(request._request)
        else:
            require_scope(identity.token, scope_of(request))
        return identity.user, identity.token

    def authenticate_header(self, request: Request) -> str:
        """What makes the answer 401 and not 403."""
        return 'Bearer realm="preceptor"'


def scope_of(request: Request) -> str:
    """The scope that a token needs for this method of this view."""
    context = request.parser_context or {}
    method = request.method or "GET"
    declared: dict[str, str] = getattr(context.get("view"), "scopes", {})
    if method in declared:
        return declared[method]
    return "read" if method in SAFE_METHODS else "admin"


class PreceptorAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes the two ways in."""

    target_class = "accounts.drf.PreceptorAuthentication"
    name: str | list[str] = ["session", "token"]  # noqa: RUF012 - an attribute of the base class

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """OpenAPI security schemes."""
        return [
            {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
            {"type": "http", "scheme": "bearer", "bearerFormat": "pct_..."},
        ]
