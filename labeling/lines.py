"""JSON lines as people really send them: BOM, CRLF, blank lines and lines without end included. Pure, flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple, TypedDict

import orjson

MAX_LINE_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"
# How files begin that people send by mistake.
NOT_TEXT = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"%PDF": "a PDF file",
    b"PK\x03\x04": "a zip archive, or an Office file", b"\x1f\x8b": "a gzip archive", b"PAR1": "a Parquet file",
    b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive", b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\xff\xfe": "a UTF-16 text", b"\xfe\xff": "a UTF-16 text",
}  # fmt: skip


class RowError(Exception):
    """One bad row: which rule, and what the person can do about it."""

    def __init__(self, code: str, message: str, remedy: str, field: str = "") -> None:
        self.code, self.message, self.remedy, self.field = code, message, remedy, field
        super().__init__(message)


class LineError(TypedDict):
    """One bad row as the report lists it; `line` counts from 1, blank lines too."""

    line: int
    field: str
    code: str
    message: str
    remedy: str


class Line(NamedTuple):
    """A line that is not blank. `data` None: too long to be read."""

    number: int
    data: bytes | None


def read_lines(stream: IO[bytes]) -> Iterator[Line]:
    """The lines of a binary stream, a byte-order mark taken off; a line over MAX_LINE_BYTES is skipped unread."""
    number = 0
    while data := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            data = data.removeprefix(BOM)
        if len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield Line(number, None)
        elif data := data.strip(b"\r\n\t "):
            yield Line(number, data)


def not_text(line: Line) -> RowError | None:
    """What is wrong with the file as a whole, told by its first line; None for a text."""
    data = line.data or b""
    found = next((what for start, what in NOT_TEXT.items() if data.startswith(start)), None)
    if found is None and b"\0" not in data:
        return None
    message = f"The file is {found or 'no text: it has NUL bytes'}, not JSON lines."
    return RowError("not_text_file", message, "Send one JSON object a line, as UTF-8 text.")


def parse_object(line: Line) -> dict[str, object]:
    """The JSON object of a line. Raises RowError."""
    if line.data is None:
        message = f"The line is longer than {MAX_LINE_BYTES} bytes."
        raise RowError("line_too_long", message, "Shorten the texts, or take this row out.")
    try:
        row = orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        raise _not_json(line.data, error) from None
    if not isinstance(row, dict):
        message = f"Expected a JSON object, found {_kind(row)}."
        raise RowError("not_an_object", message, 'Write one object a line, such as {"prompt": "..."}.')
    return row


def _not_json(data: bytes, error: orjson.JSONDecodeError) -> RowError:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        message = f"Byte {wrong.start + 1} of the line is not UTF-8."
        return RowError("not_utf8", message, "Save the file as UTF-8.")
    text = str(error)
    if "surrogate" in text:
        message = "There is half of a surrogate pair (\\ud800 to \\udfff alone), which is no character."
        return RowError("lone_surrogate", message, "Take the half character out, or write the whole pair.")
    if "depth limit" in text:
        return RowError(
            "too_deep", "The JSON is nested too deep.", "Flatten the row: texts, or messages in a list."
        )
    message = f"This is not JSON: {text[:200]}."
    return RowError("bad_json", message, "One JSON object a line; escape line breaks inside texts as \\n.")


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def line_error(number: int, error: RowError) -> LineError:
    """The report's entry for a bad row."""
    return {
        "line": number,
        "field": error.field,
        "code": error.code,
        "message": error.message,
        "remedy": error.remedy,
    }
