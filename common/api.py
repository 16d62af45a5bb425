"""What every REST endpoint shares: the error shape, strict input, exact JSON, cursor pages, conditional requests."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import IO, Any

import orjson
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import serializers
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import DomainError, FieldError, InvalidInput, NotFound

MAX_BODY_BYTES = 2 * 1024 * 1024
PROBLEM = "application/problem+json"
KEY = re.compile(r"[\x21-\x7e]{8,200}")
ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


# Errors: RFC 9457 with a stable `code`.


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    extra: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """The body of every error: {type, title, status, detail, code, errors?, extra?}."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        body["errors"] = [{"field": e.field, "code": e.code, "message": e.message} for e in errors]
    if extra:
        body["extra"] = dict(extra)
    return body


def handle_exception(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: every error that we know becomes problem+json; others stay a 500."""
    if isinstance(exc, Http404):
        exc = NotFound()
    if isinstance(exc, DomainError):
        body = problem(exc.http_status, exc.error_code, exc.detail, errors=exc.errors, extra=exc.extra)
        return Response(body, status=exc.http_status, content_type=PROBLEM)
    # Imported here: DRF's views read their settings on import, and those name the classes of this file.
    from rest_framework.views import exception_handler

    response = exception_handler(exc, dict(context))  # Also marks the transaction for rollback.
    if response is None:
        return None
    response.data = _translated(exc, response.status_code)
    if isinstance(exc, UnsupportedMediaType):
        response.data["detail"] = f"{exc.detail} {_accepted(context['view'])}"
    response.content_type = PROBLEM
    return response


def _accepted(view: Any) -> str:
    """The content types that an endpoint takes, or its own sentence about them."""
    types = ", ".join(parser.media_type for parser in view.parser_classes)
    return getattr(view, "unsupported", f"Send {types}.")


def _translated(exc: Exception, status: int) -> dict[str, object]:
    if isinstance(exc, ValidationError):
        errors = tuple(_flatten(exc.get_full_details()))
        return problem(status, InvalidInput.code, errors[0].message if errors else str(exc), errors=errors)
    if isinstance(exc, APIException):
        codes = exc.get_codes()
        return problem(status, codes if isinstance(codes, str) else exc.default_code, str(exc.detail))
    return problem(
        status, "forbidden" if isinstance(exc, PermissionDenied) else "error", str(exc) or "Refused."
    )


def _flatten(detail: Any, path: str = "") -> Iterator[FieldError]:
    if isinstance(detail, Mapping) and set(detail) == {"message", "code"} and isinstance(detail["code"], str):
        yield FieldError(path, detail["code"], str(detail["message"]))
    elif isinstance(detail, Mapping):
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _flatten(value, ".".join(part for part in (path, name) if part))
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            is_leaf = isinstance(value, Mapping) and set(value) == {"message", "code"}
            yield from _flatten(value, path if is_leaf else f"{path}.{index}".lstrip("."))


# JSON in and out.


class JSONParser(BaseParser):
    """UTF-8 JSON of at most MAX_BODY_BYTES; refuses NaN, lone surrogates and deep nesting."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The decoded body. Raises BodyTooLarge or ParseError."""
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from None


class BodyTooLarge(APIException):
    """The body is larger than the endpoint reads."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body is larger than {MAX_BODY_BYTES} bytes. Send less at once."


class JSONRenderer(BaseRenderer):
    """Exact JSON; the charset is always UTF-8, so it is not named."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """`data` as bytes; nothing for None (204)."""
        return b"" if data is None else orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


class StrictSerializer(serializers.Serializer[Any]):
    """Base of every input: a field that nobody declared is an error, never silently dropped."""

    def to_internal_value(self, data: Any) -> Any:
        """The declared fields, checked. Raises ValidationError that names every unknown field too."""
        if isinstance(data, Mapping) and (unknown := [str(key) for key in data if key not in self.fields]):
            known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
            message = f"Unknown field. Known here: {known or 'none'}."
            raise ValidationError({name[:100]: [message] for name in unknown}, code="unknown_field")
        return super().to_internal_value(data)

    @classmethod
    def parse(cls, data: object, **options: Any) -> dict[str, Any]:
        """The validated input as a dict. Raises ValidationError."""
        serializer = cls(data=data, **options)
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated


class Pages(CursorPagination):
    """Cursor pages: `?cursor=`, `?page_size=` up to 200; newest first unless the view orders otherwise."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering = "-id"


# Conditional and repeated requests.


def idempotency_key(request: Request, *, required: bool = False) -> str | None:
    """The `Idempotency-Key` header: 8 to 200 visible ASCII characters, chosen by the client."""
    key = request.headers.get("Idempotency-Key")
    if key is None and not required:
        return None
    if key is None or not KEY.fullmatch(key):
        message = "Idempotency-Key: send 8 to 200 visible ASCII characters, such as a UUID."
        raise InvalidInput(message, code="bad_idempotency_key")
    return key


def fingerprint(body: object) -> str:
    """SHA-256 (hex) of the body's canonical JSON: tells a repeated request from another one with the same key."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def if_match(request: Request) -> int | None:
    """The version number in `If-Match: "7"`; None if there is no header."""
    header = request.headers.get("If-Match")
    if header is None:
        return None
    found = ETAG.fullmatch(header.strip())
    if not found:
        raise InvalidInput(
            'If-Match: send the ETag of the draft as it came, such as "7".', code="bad_if_match"
        )
    return int(found[1])
