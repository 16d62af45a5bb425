"""The gate for names: one line of text that can be shown and stored exactly."""

from __future__ import annotations

from common.errors import FieldError, InvalidInput
from common.text import clean_text


def name_line(text: str, field: str, longest: int, *, required: bool = False) -> str:
    """`text` as one trimmed line. Raises InvalidInput for control characters, for too much, and for nothing."""
    line = " ".join(clean_text(text, field=field).split())
    if len(line) > longest or any(ord(character) < 32 or ord(character) == 127 for character in line):
        message = f"{field}: one line of at most {longest} characters, without control characters."
        raise InvalidInput(message, errors=[FieldError(field, "bad_line", message)])
    if required and not line:
        message = f"{field}: may not be empty."
        raise InvalidInput(message, errors=[FieldError(field, "blank", message)])
    return line
