"""`manage.py import_prompts FILE --project ID --user NAME`: prompts from JSON lines, all rows or none."""

from __future__ import annotations

import gzip
from argparse import ArgumentParser
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


def open_lines(path: Path) -> IO[bytes]:
    """The file, unpacked on the way if its name ends in .gz."""
    try:
        return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def print_errors(command: BaseCommand, refused: ImportRefused) -> None:
    """One line for each bad row."""
    for error in cast(list[dict[str, Any]], refused.extra["errors"]):
        command.stderr.write(f"line {error['line']}: {error['message']} {error['remedy']}")
