"""`manage.py import_prompts FILE --project ID --user NAME`: prompts from JSON lines, all rows or none."""

from __future__ import annotations

import gzip
import zlib
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError

from labeling.management.arguments import project_and_user
from labeling.services.imports import ImportRefused
from labeling.services.prompts import import_prompts


class Command(BaseCommand):
    help = "Import prompts from a file of JSON lines (.jsonl or .jsonl.gz)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, help="id or name")
        parser.add_argument("--user", required=True, help="user name of an admin of the project")
        parser.add_argument("--dry-run", action="store_true", help="try everything, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and print the report."""
        project, user = project_and_user(options["project"], options["user"])
        with open_lines(options["file"]) as stream:
            try:
                report = import_prompts(
                    project=project, stream=stream, actor=user, dry_run=options["dry_run"]
                )
            except ImportRefused as refused:
                print_errors(self, refused)
                raise CommandError(refused.detail) from None
        splits = ", ".join(f"{name} {count}" for name, count in report["splits"].items())
        self.stdout.write(
            f"{report['imported']} imported ({splits}), {report['duplicates']} duplicates, "
            f"{report['demonstrations']} demonstrations"
        )


@contextmanager
def open_lines(path: Path) -> Iterator[IO[bytes]]:
    """The file, unpacked on the way if its name ends in .gz. CommandError where it cannot be read to its end."""
    try:
        with cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb") as stream:
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        remedy = "Pack it again, or take .gz off its name if it is not packed"
        raise CommandError(f"{path} is not a whole gzip file ({error}). {remedy}.") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def print_errors(command: BaseCommand, refused: ImportRefused) -> None:
    """One line for each bad row that is listed, and how many more there are."""
    listed = cast(list[dict[str, Any]], refused.extra["errors"])
    for error in listed:
        command.stderr.write(f"line {error['line']}: {error['message']} {error['remedy']}")
    if more := cast(int, refused.extra["error_count"]) - len(listed):
        command.stderr.write(f"and {more} more")
