"""The one gate for text that people or models wrote."""

from common.errors import FieldError, InvalidInput

MAX_TEXT_BYTES = 65_536


class BadText(InvalidInput):
    """Text that the database or an export could not hold exactly."""

    code = "bad_text"


def clean_text(value: object, *, field: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Give `value` back unchanged if it can be stored and exported exactly, else raise BadText.

    Accepted are Unicode scalar values without NUL, at most `max_bytes` in UTF-8. Nothing is trimmed or
    normalised: what a labeler wrote is what the trainer reads.
    """
    if not isinstance(value, str):
        raise _refuse(field, "not_text", f"{field}: expected text, got {type(value).__name__}.")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        place = error.start + 1
        raise _refuse(
            field, "lone_surrogate", f"{field}: character {place} is half of a surrogate pair. Remove it."
        ) from None
    if "\x00" in value:
        place = value.index("\x00") + 1
        raise _refuse(field, "nul", f"{field}: character {place} is NUL. Remove it.")
    if size > max_bytes:
        raise _refuse(
            field, "too_long", f"{field}: {size} bytes of UTF-8; at most {max_bytes} are stored. Shorten it."
        )
    return value


def _refuse(field: str, code: str, message: str) -> BadText:
    return BadText(message, errors=[FieldError(field, code, message)])
