"""`manage.py import_rankings FILE --project ID --user NAME`: rankings that people gave elsewhere."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Pool
from labeling.management.arguments import project_and_user
from labeling.management.commands.import_prompts import open_lines, print_errors
from labeling.services.imports import ImportRefused
from labeling.services.ranking_imports import import_rankings


class Command(BaseCommand):
    help = "Import K-way rankings by several annotators from JSON lines (.jsonl or .jsonl.gz)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", required=True, help="id or name")
        parser.add_argument("--user", required=True, help="user name of an admin of the project")
        parser.add_argument("--pool", choices=Pool.values, default=Pool.RESEARCHER, help="of the annotators")
        parser.add_argument("--title", default="", help="of the batch; default: the name of the file")
        parser.add_argument(
            "--unnamed", default="external", help="version of answers without response_systems"
        )
        parser.add_argument(
            "--open", type=int, default=0, metavar="OVERLAP", help="let own labelers rank them too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and print the report."""
        project, user = project_and_user(options["project"], options["user"])
        with open_lines(options["file"]) as stream:
            try:
                report = import_rankings(
                    project=project,
                    stream=stream,
                    actor=user,
                    pool=options["pool"],
                    title=options["title"] or options["file"].name.partition(".")[0],
                    unnamed=options["unnamed"],
                    open_overlap=options["open"],
                )
            except ImportRefused as refused:
                print_errors(self, refused)
                raise CommandError(refused.detail) from None
        self.stdout.write(", ".join(f"{count} {name}" for name, count in report.items()))
