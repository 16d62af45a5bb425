"""The one page: every address that is not an API's shows the single-page application."""

from http import HTTPStatus

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_safe

from common.api import PROBLEM, problem
from common.errors import NotFound


@require_safe
@ensure_csrf_cookie
def shell(request: HttpRequest) -> HttpResponse:
    """The application's page, or in words what to do if it was never built."""
    is_built = (settings.FRONTEND_DIST / ".vite" / "manifest.json").is_file()
    if not is_built:
        return render(request, "not_built.html", status=503)
    return render(request, "shell.html", {"nonce": getattr(request, "csp_nonce", "")})


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    return HttpResponse(orjson.dumps(problem(status, code, detail)), content_type=PROBLEM, status=status)


@csrf_exempt
def unknown_api(request: HttpRequest) -> HttpResponse:
    """An API address that does not exist; never the page."""
    detail = f"There is nothing at {request.path[:200]}."
    if not request.path.endswith("/"):
        detail += " Addresses of this API end in a slash."
    return _problem(HTTPStatus.NOT_FOUND, NotFound.code, detail)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form or script without the CSRF token."""
    detail = (
        "The CSRF token is missing or old. Reload the page; scripts send X-CSRFToken from /api/v1/auth/csrf/."
    )
    return _problem(HTTPStatus.FORBIDDEN, "csrf_failed", detail)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django refused the request before a view saw it (host name, oversized form, suspicious path)."""
    detail = f"The request was refused ({type(exception).__name__}). Check the address and the size of what is sent."
    return _problem(HTTPStatus.BAD_REQUEST, "bad_request", detail)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Http404 raised outside DRF."""
    return _problem(HTTPStatus.NOT_FOUND, NotFound.code, NotFound.message)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """PermissionDenied raised outside DRF."""
    return _problem(HTTPStatus.FORBIDDEN, "forbidden", str(exception) or "You may not do this.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Our fault; the request's id leads to the log line."""
    detail = "The server failed. Try again; if it happens again, report the X-Request-ID of this answer."
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", detail)
