"""Let versions answer every held-out prompt through the running sampler, and print what they said."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Project
from common.errors import DomainError
from inference.engine.config import SamplingParams
from inference.models import SamplingJob
from inference.selectors import completions_of
from inference.services import request_samples
from inference.states import JobState
from labeling.models import Prompt, Split

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Command(BaseCommand):
    """`manage.py sample_heldout PROJECT VERSION... --n 4 --max-tokens 80`: n answers a prompt and version, as JSON lines."""

    help = "Sample completions of each held-out prompt from each version, through the running sampler."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which project and versions, and how long an answer may be."""
        parser.add_argument("project", help="id of the project")
        parser.add_argument("versions", nargs="+", help="ids of versions that write text")
        parser.add_argument(
            "--n", type=int, default=1, choices=range(1, 65), metavar="1-64", help="answers to each prompt"
        )
        parser.add_argument("--max-tokens", type=int, default=64)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait for the sampler")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask for one job a version, wait for all, print."""
        project = Project.objects.filter(pk=options["project"]).first()
        if project is None:
            raise CommandError("project: there is none with this id.")
        prompts = list(Prompt.objects.filter(project=project, split=Split.HELDOUT).order_by("digest"))
        if not prompts:
            raise CommandError(
                "The project has no held-out prompt. Import more prompts: one in twenty is held out."
            )
        jobs = [self._ask(project, version, prompts, options) for version in options["versions"]]
        self._wait(jobs, options["timeout"])
        for job in jobs:
            for one in completions_of(job):
                row = {
                    "version": str(one.version_id),
                    "prompt": one.request.messages if one.request else [],
                    "text": one.text,
                    "tokens": len(one.token_ids or []),
                    "finish_reason": one.finish_reason,
                }
                self.stdout.write(json.dumps(row, ensure_ascii=False))

    def _ask(
        self, project: Project, version: str, prompts: list[Prompt], options: dict[str, Any]
    ) -> SamplingJob:
        found = project.versions.filter(pk=version).first()
        if found is None:
            raise CommandError(f"versions: the project has none with the id {version}.")
        try:
            return request_samples(
                project=project,
                version=found,
                prompts=[(one.digest, one.messages, options["n"]) for one in prompts],
                params=SamplingParams(max_tokens=options["max_tokens"]),
                seed=options["seed"],
            )
        except (DomainError, ValueError) as error:
            raise CommandError(str(error)) from error

    def _wait(self, jobs: list[SamplingJob], timeout: float) -> None:
        end = time.monotonic() + timeout
        for job in jobs:
            while job.state not in ENDED:
                if time.monotonic() > end:
                    raise CommandError(
                        "The sampler did not finish in time. Is a worker of the queue `sample` running?"
                    )
                time.sleep(0.5)
                job.refresh_from_db()
            if job.state != JobState.DONE:
                raise CommandError(f"Sampling ended as {job.state}: {job.reason}")
