"""A brake on guessing sign-in links: failures per address, counted in Valkey.

Closed when Valkey is out of reach: signing in is the one thing that must not go on uncounted.
"""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from common.errors import DomainError

FAILURES = 20
WINDOW_SECONDS = 60


class TooManyAttempts(DomainError):
    """This address failed too often within a minute."""

    code = "too_many_attempts"
    message = "Too many failed sign-ins from this address. Wait a minute, then try again."
    status = 429


class ThrottleUnavailable(DomainError):
    """Attempts cannot be counted now."""

    code = "sign_in_unavailable"
    message = "Signing in is not possible for the moment, because the server cannot count attempts. Try again shortly."
    status = 503


def refuse_if_exhausted(request: HttpRequest) -> None:
    """Raise TooManyAttempts when this address has no failure left, ThrottleUnavailable when nobody can tell."""
    try:
        failures = cache.get(_key(request), 0)
    except (RedisError, OSError):
        raise ThrottleUnavailable from None
    if failures >= FAILURES:
        raise TooManyAttempts(extra={"retry_after_s": WINDOW_SECONDS})


def count_failure(request: HttpRequest) -> None:
    """Write down one failed sign-in of this address."""
    key = _key(request)
    try:
        cache.add(key, 0, WINDOW_SECONDS)
        cache.incr(key)
    except (RedisError, OSError):
        raise ThrottleUnavailable from None
    except ValueError:  # The key ran out between the two commands: the window is over.
        return


def _key(request: HttpRequest) -> str:
    address = str(request.META.get("REMOTE_ADDR") or "unknown")
    if settings.PRECEPTOR_TRUST_PROXY:
        # Behind a proxy all come from its address: one who guesses would lock everybody out. The last entry is the proxy's.
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    return f"sign-in:{hashlib.sha256(address.encode()).hexdigest()[:32]}"
