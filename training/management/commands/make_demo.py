"""Make the demo projects; `make up` runs this on the first start."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from training.demo.make import make_demo


class Command(BaseCommand):
    """`manage.py make_demo`: safe to run again."""

    help = "Make the demo projects: one half way through its second round, one of real rankings."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing and name it."""
        for project in make_demo():
            self.stdout.write(f"{project.name}: {project.prompts.count()} prompts")
