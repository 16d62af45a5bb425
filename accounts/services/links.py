"""Sign-in by single-use links. The secret stands in the fragment of the link, so no log and no referrer has it."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now

from accounts.auth import sha256
from accounts.events import record
from accounts.models import SignInLink, User
from common.errors import DomainError

LINK_TTL = timedelta(hours=72)


class LinkUnknown(DomainError):
    """No such link was ever made, or its owner may not come in any more."""

    code = "link_unknown"
    message = (
        "This sign-in link is not known here. Check that it was copied whole, or ask an admin for a new one."
    )
    status = 404


class LinkUsed(DomainError):
    """The link was used before."""

    code = "link_used"
    message = "This sign-in link was already used; each works once. Ask an admin for a new one."
    status = 410


class LinkExpired(DomainError):
    """The link is too old."""

    code = "link_expired"
    message = "This sign-in link has expired. Ask an admin for a new one."
    status = 410


@transaction.atomic
def make_sign_in_link(*, user: User, ttl: timedelta = LINK_TTL, actor: User | None = None) -> tuple[str, str]:
    """A link that signs `user` in once within `ttl`, and its secret: (address, secret). Neither is stored."""
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, secret_sha256=sha256(secret), expires_at=now() + ttl)
    record("sign_in_link.made", subject=user, actor=actor, hours=round(ttl.total_seconds() / 3600, 1))
    return f"{settings.PRECEPTOR_PUBLIC_URL}/sign-in#{secret}", secret


@transaction.atomic
def sign_in_with(secret: str) -> User:
    """Use a link up and give back whose it is. Raises LinkUnknown, LinkUsed or LinkExpired."""
    digest = sha256(secret)
    link = (
        SignInLink.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(secret_sha256=digest, user__is_active=True)
        .first()
    )
    if link is None or not hmac.compare_digest(link.secret_sha256, digest):
        raise LinkUnknown
    if link.used_at is not None:
        raise LinkUsed
    if link.expires_at <= now():
        raise LinkExpired
    link.used_at = now()
    link.save(update_fields=["used_at"])
    record("user.signed_in", subject=link.user, actor=link.user)
    return link.user
