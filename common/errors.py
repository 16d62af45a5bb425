"""Errors of the domain: each has a stable code that clients switch on, and knows nothing of HTTP but its status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field of a request: where, which rule, and the sentence for a person."""

    field: str
    code: str
    message: str


class DomainError(Exception):
    """Something the caller asked for cannot be done now.

    Subclasses set `code` (stable, snake_case), `message` (names the field and the remedy) and, where 409 is
    wrong, `status`. `extra` holds facts for the client: it is sent as it is, so it must be JSON.
    """

    code: ClassVar[str] = "conflict"
    message: ClassVar[str] = "This cannot be done in the present state. Reload and look again."
    status: ClassVar[int] = 409

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        extra: Mapping[str, object] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        self.detail = message or self.message
        self.error_code = code or self.code
        self.http_status = status or self.status
        self.extra = dict(extra or {})
        self.errors = tuple(errors)
        super().__init__(self.detail)


class NotFound(DomainError):
    """Missing and forbidden look the same to whoever asks."""

    code = "not_found"
    message = "There is nothing here, or it is not yours to see."
    status = 404


class Forbidden(DomainError):
    """The caller may know that the thing exists, but may not do this to it."""

    code = "forbidden"
    message = "Your role does not allow this. Ask an admin of the project."
    status = 403


class InvalidInput(DomainError):
    """The request can never succeed as it is; `errors` names every wrong field."""

    code = "invalid"
    message = "Some fields are wrong. Correct them and send again."
    status = 400


class Stale(DomainError):
    """`If-Match` names an older version than the stored one."""

    code = "stale"
    message = "This was changed elsewhere since you read it. Read it again and repeat your change."
    status = 412


class KeyReused(DomainError):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was already used for another request. Use a fresh key."
    status = 422
