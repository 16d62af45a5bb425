"""`manage.py import_prompts FILE --project ID --user NAME`: prompts from JSON lines, all rows or none."""

from __future__ import annotations

import gzip
import zlib
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError

from labeling.management.arguments import project_and_user
from labeling.models import LeftOutReason, Split
from labeling.services.imports import ImportRefused
from labeling.services.prompts import ImportReport, import_prompts
from labeling.services.sift import MAX_PER_OWNER, Note


class Command(BaseCommand):
    help = "Import prompts from a file of JSON lines (.jsonl or .jsonl.gz)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, help="id or name")
        parser.add_argument("--user", required=True, help="user name of an admin of the project")
        parser.add_argument("--dry-run", action="store_true", help="try everything, write nothing")
        parser.add_argument(
            "--keep-near-duplicates",
            action="store_true",
            help="take prompts that begin like another one for 200 characters, too",
        )
        parser.add_argument(
            "--max-per-owner",
            type=_cap,
            default=MAX_PER_OWNER,
            metavar="N",
            help=f"prompts that one owner may have in the project, or none for any number (default {MAX_PER_OWNER})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and print the report."""
        project, user = project_and_user(options["project"], options["user"])
        with open_lines(options["file"]) as stream:
            try:
                report = import_prompts(
                    project=project,
                    stream=stream,
                    actor=user,
                    dry_run=options["dry_run"],
                    keep_near_duplicates=options["keep_near_duplicates"],
                    max_per_owner=options["max_per_owner"],
                )
            except ImportRefused as refused:
                print_errors(self, refused)
                raise CommandError(refused.detail) from None
        splits = ", ".join(f"{name} {count}" for name, count in report["splits"].items())
        self.stdout.write(
            f"{report['imported']} imported ({splits}), {report['duplicates']} duplicates, "
            f"{report['demonstrations']} demonstration{'' if report['demonstrations'] == 1 else 's'}"
        )
        if report["imported"] and report["imported"] == report["splits"][Split.TRAIN]:
            self.stdout.write("0 outside the training split: they add nothing to measure on; import more")
        print_left_out(self, report)


def print_left_out(command: BaseCommand, report: ImportReport) -> None:
    """What was left out or flagged and why, then the first rows of it; nothing where there is nothing."""
    numbers = {
        "left out: begin like another prompt": report["near_duplicates"],
        "left out: their owner has enough": report["over_owner_cap"],
        "with personal data, kept out of training if in its split": report["flagged"],
    }
    for what, count in numbers.items():
        if count:
            command.stdout.write(f"{count} {what}")
    for note in report["notes"]:
        command.stdout.write(f"  line {note['line']}: {_why(note)}")


def _why(note: Note) -> str:
    if note["reason"] == "pii":
        return ", ".join(note["kinds"])
    if note["reason"] == LeftOutReason.OWNER_CAP:
        return "over the owner's cap"
    return f"like line {note['like_line']}" if note["like_line"] else f"like prompt {note['like_prompt']}"


def _cap(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError("expected a whole number of at least 1, or none")
    return int(text)


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
