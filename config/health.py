"""Probes and numbers for operators."""

import hmac
import sys
from functools import cache

import django
import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import get_resolver
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from config.pages import permission_denied

log = structlog.get_logger(__name__)


@require_safe
async def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """May traffic come? Names what is missing. Valkey is told but not needed: labeling goes on without it."""
    checks = {"database": _database(), "migrations": _migrations(), "warm": _warm(), "valkey": _valkey()}
    ready = all(state == "ok" for name, state in checks.items() if name != "valkey")
    return JsonResponse({"status": "ok" if ready else "not ready", **checks}, status=200 if ready else 503)


@require_safe
async def version(request: HttpRequest) -> JsonResponse:
    """What runs here."""
    return JsonResponse(
        {
            "preceptor": settings.PRECEPTOR_VERSION,
            "django": django.__version__,
            "python": sys.version.split()[0],
        }
    )


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for staff or whoever holds PRECEPTOR_METRICS_TOKEN."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected = settings.PRECEPTOR_METRICS_TOKEN
    by_token = (
        bool(expected) and scheme == "Bearer" and hmac.compare_digest(token.encode(), expected.encode())
    )
    if not by_token and not getattr(request.user, "is_staff", False):
        return permission_denied(
            request, PermissionError("Metrics are for staff or the holder of the metrics token.")
        )
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log.warning("database is out of reach", error=str(error))
        return "out of reach"
    return "ok"


_migrated = False  # Once true it stays true: migrations only move forward under a running server.


def _migrations() -> str:
    global _migrated
    if _migrated:
        return "ok"
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "unknown"
    _migrated = not missing
    return "ok" if _migrated else f"{len(missing)} to apply: run manage.py migrate"


@cache
def _warm() -> str:
    # The first request imports the whole URLconf with its views (2 to 4 s): do it before people come.
    get_resolver().url_patterns  # noqa: B018 - the reading imports
    get_resolver()._populate()
    return "ok"


def _valkey() -> str:
    try:
        with redis.from_url(
            settings.PRECEPTOR_REDIS_URL, socket_connect_timeout=1, socket_timeout=1
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "out of reach"
    return "ok"
