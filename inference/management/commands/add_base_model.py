"""Put a model into the models directory, where projects may choose it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from inference.services import add_base_model

# What a version may hold; weights other than safetensors are not even fetched.
WANTED = [
    "*.json",
    "*.safetensors",
    "*.jinja",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "README.md",
    "LICENSE*",
]
COMMIT = re.compile(r"[0-9a-f]{40}")


class Command(BaseCommand):
    """`manage.py add_base_model ./folder` or `manage.py add_base_model owner/name --revision <commit>`."""

    help = "Add a base model from a local folder, or from the Hugging Face hub (the one command that uses the network)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where from, and under which name."""
        parser.add_argument("source", help="A folder that save_pretrained wrote, or a hub id (owner/name)")
        parser.add_argument(
            "--name", default="", help="What projects choose it by; the source's own name if not given"
        )
        parser.add_argument("--revision", default="", help="Commit of the hub repository, 40 hex digits")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, copy, pin."""
        source = Path(options["source"])
        name = options["name"] or re.sub(r"[^a-z0-9._-]+", "-", source.resolve().name.lower())
        try:
            if source.is_dir():
                base = add_base_model(source=source, name=name, origin="local folder")
            else:
                base = self._from_hub(options["source"], options["revision"], name)
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{base.name}: {base.parameters:,} weights, context {base.context_tokens} tokens")

    def _from_hub(self, repository: str, revision: str, name: str) -> Any:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise CommandError(f"{repository}: neither a folder nor a hub id (owner/name).")
        if not COMMIT.fullmatch(revision):
            raise CommandError(
                "--revision: name the commit (40 hex digits), so that nobody can change what you get."
            )
        # Here alone: nothing else of the product ever asks the hub.
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        with tempfile.TemporaryDirectory(prefix="preceptor-hub-") as folder:
            try:
                snapshot_download(repository, revision=revision, local_dir=folder, allow_patterns=WANTED)
            except (HfHubHTTPError, OSError, ValueError) as error:
                raise CommandError(f"{repository} cannot be fetched: {error}") from error
            return add_base_model(
                source=Path(folder), name=name, origin=f"https://huggingface.co/{repository}@{revision}"
            )
