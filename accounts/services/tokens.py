"""Bearer tokens: shown once, stored as SHA-256."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.timezone import now

from accounts.auth import SCOPES, TOKEN_START, sha256
from accounts.events import record
from accounts.models import ApiToken, Project, User
from accounts.services.names import name_line
from common.errors import FieldError, InvalidInput

DEFAULT_TTL = timedelta(days=90)
LONGEST_TTL = timedelta(days=366)


@transaction.atomic
def create_token(
    *,
    user: User,
    name: str,
    scopes: Collection[str],
    project: Project | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A token and its secret, which is stored nowhere. Without `expires_at` it lives for 90 days."""
    _check_scopes(scopes)
    until = expires_at or now() + DEFAULT_TTL
    if not now() < until <= now() + LONGEST_TTL:
        message = "expires_at: a time in the future, at most 366 days from now."
        raise InvalidInput(message, errors=[FieldError("expires_at", "out_of_range", message)])
    prefix = secrets.token_hex(4)
    secret = f"{TOKEN_START}{prefix}_{secrets.token_urlsafe(32)}"
    token = ApiToken.objects.create(
        user=user,
        project=project,
        name=name_line(name, "name", 80, required=True),
        prefix=prefix,
        secret_sha256=sha256(secret),
        scopes=sorted(set(scopes)),
        expires_at=until,
    )
    record("api_token.created", subject=token, actor=user, project=project, scopes=token.scopes)
    return token, secret


@transaction.atomic
def revoke_token(*, token: ApiToken, actor: User) -> None:
    """Close a token for good; the next request with it is refused. Twice is once."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now()):
        record("api_token.revoked", subject=token, actor=actor, project=token.project)


def _check_scopes(scopes: Collection[str]) -> None:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        message = f"scopes: choose at least one of {', '.join(SCOPES)}."
        raise InvalidInput(message, errors=[FieldError("scopes", "unknown_scope", message)])
