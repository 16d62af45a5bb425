"""What every import shares: all rows or none, with every bad row named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from common.errors import DomainError
from labeling.lines import LineError, RowError, line_error, not_text, parse_object, read_lines

LISTED = 1000

R = TypeVar("R")


class ImportRefused(DomainError):
    """Some rows are wrong, so none was taken."""

    code = "import_refused"
    message = "Nothing was imported, because some rows are wrong. Correct them and send the file again."
    status = 422


@dataclass(slots=True)
class Errors:
    """The first LISTED errors, and how many there are."""

    listed: list[LineError] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, error: RowError) -> None:
        """Count one, and keep it if there is room."""
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append(line_error(line, error))

    def refuse(self) -> None:
        """Raise ImportRefused if there is any."""
        if self.count:
            wrong = (
                "1 row is wrong. Correct it"
                if self.count == 1
                else f"{self.count} rows are wrong. Correct them"
            )
            message = f"Nothing was imported: {wrong} and send the file again."
            raise ImportRefused(message, extra={"errors": self.listed, "error_count": self.count})


def good_rows(
    stream: IO[bytes], parse: Callable[[dict[str, Any]], R], errors: Errors
) -> Iterator[tuple[int, R]]:
    """(line, row) as long as no row was bad; after the first bad one the rest is only checked."""
    seen = 0
    for line in read_lines(stream):
        seen += 1
        if seen == 1 and (wrong := not_text(line)):
            errors.add(line.number, wrong)
            return  # Every further line would be as wrong.
        try:
            row = parse(parse_object(line))
        except RowError as error:
            errors.add(line.number, error)
        else:
            if not errors.count:
                yield line.number, row
    if not seen:
        errors.add(1, RowError("empty_file", "There are no rows.", "Send one JSON object a line."))
