"""Write a project of simulated labelers as the archive that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Project
from training.demo.archive import write_archive
from training.demo.make import ARCHIVE


class Command(BaseCommand):
    """`manage.py export_demo PROJECT`: see benchmarks/demo_archive.py, which makes such a project."""

    help = "Write a project as the archive from which `make_demo` makes the demo project."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which project, and where to."""
        parser.add_argument("project", help="id of the project")
        parser.add_argument("--to", type=Path, default=ARCHIVE)

    def handle(self, *args: Any, **options: Any) -> None:
        """Mark the project as a demo and write it."""
        project = Project.objects.filter(pk=options["project"]).first()
        if project is None:
            raise CommandError("project: there is none with this id.")
        project.is_demo = True
        project.save(update_fields=["is_demo"])
        try:
            counts = write_archive(project=project, target=options["to"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        for table, count in counts.items():
            self.stdout.write(f"{count:6} {table}")
