"""Who is asking: the one helper for DRF views and for async ones, which DRF does not see.

A session, or `Authorization: Bearer pct_...`. A token acts below its owner's roles, within its scopes, and, where it
names a project, in that project only.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.timezone import now

from accounts.models import ApiToken, User
from common.errors import DomainError, Forbidden

TOKEN_START = "pct_"  # noqa: S105 - not a secret: what every token begins with
LAST_USED_EVERY = timedelta(minutes=1)

SCOPES: dict[str, str] = {
    "read": "Read everything that its owner can read, but exports",
    "prompts:write": "Add and import prompts",
    "tasks:work": "Take, draft, skip and release tasks",
    "submissions:write": "Submit demonstrations and rankings",
    "export:read": "Export snapshots",
    "runs:launch": "Open, advance and cancel rounds and runs",
    "models:promote": "Promote and drop model versions",
    "admin": "Everything that its owner may do",
}


class Unauthenticated(DomainError):
    """Nobody is signed in, or the token is no good."""

    code = "not_authenticated"
    message = "Sign in, or send `Authorization: Bearer pct_...`."
    status = 401


class ScopeMissing(Forbidden):
    """The token was not given the scope that this needs."""

    code = "scope_missing"


class CsrfFailed(Forbidden):
    """The request was not sent by our own pages."""

    code = "csrf_failed"


class Identity(NamedTuple):
    """Who asks, and with which token (None: a session)."""

    user: User
    token: ApiToken | None


def authenticate_request(request: HttpRequest) -> Identity | None:
    """The user and the token behind a request; None for nobody. Raises Unauthenticated for a bad token.

    A session's unsafe requests still need the CSRF check: DRF views get it from accounts/drf.py, others from
    Django's middleware.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if header:
        return _identity_of_token(header)
    user = getattr(request, "user", None)
    if isinstance(user, User) and user.is_active:
        return Identity(user, None)
    return None


async def async_user(request: HttpRequest) -> User:
    """The user of an async view. Raises Unauthenticated; a token needs the scope `read`."""
    identity = await sync_to_async(authenticate_request)(request)
    if identity is None:
        raise Unauthenticated
    require_scope(identity.token, "read")
    return identity.user


def user_of(request: Any) -> User:
    """Who sends a DRF request, for views that let nobody else in. Raises Unauthenticated."""
    user = request.user
    if not isinstance(user, User):
        raise Unauthenticated
    return user


def require_scope(asker: Any, scope: str) -> None:
    """Raise ScopeMissing if `asker` (a DRF request, a token, or None for a session) lacks `scope`."""
    token = asker if asker is None or isinstance(asker, ApiToken) else getattr(asker, "auth", None)
    if isinstance(token, ApiToken) and scope not in token.scopes and "admin" not in token.scopes:
        raise ScopeMissing(
            f"This token lacks the scope {scope}. Make one that has it.", extra={"scope": scope}
        )


def check_csrf(request: HttpRequest) -> None:
    """Raise CsrfFailed unless an unsafe request comes from our own pages. DRF views are exempt from the middleware."""
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    reason = check.process_view(request, None, (), {})  # type: ignore[arg-type]  # there is no view to ask
    if reason:
        raise CsrfFailed(f"CSRF: {reason} Get auth/csrf/ again and send its token as X-CSRFToken.")


class _CsrfCheck(CsrfViewMiddleware):
    """Django's checks, with the reason handed back instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def sha256(secret: str) -> str:
    """What is stored of a secret. It has 256 random bits, so a slow hash would protect nothing further."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _identity_of_token(header: str) -> Identity:
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret.startswith(TOKEN_START) or len(secret) > 200:
        raise Unauthenticated("Authorization: send `Bearer pct_...`.", code="token_unknown")
    digest = sha256(secret)
    token = ApiToken.objects.select_related("user").filter(secret_sha256=digest).first()
    if token is None or not hmac.compare_digest(token.secret_sha256, digest) or not token.user.is_active:
        raise Unauthenticated("This token is unknown. Make a new one in the settings.", code="token_unknown")
    if token.revoked_at is not None:
        raise Unauthenticated("This token was revoked. Make a new one in the settings.", code="token_revoked")
    if token.expires_at is not None and token.expires_at <= now():
        raise Unauthenticated("This token has expired. Make a new one in the settings.", code="token_expired")
    _note_use(token)
    token.user.limited_to = token.project_id
    return Identity(token.user, token)


def _note_use(token: ApiToken) -> None:
    """Write `last_used_at` at most once a minute, so that a busy script does not rewrite one row all day."""
    if token.last_used_at is not None and token.last_used_at > now() - LAST_USED_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=Now() - LAST_USED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())
