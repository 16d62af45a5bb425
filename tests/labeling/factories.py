"""One factory a table, valid by default, and short ways to the usual situations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import factory
from django.utils.timezone import now

from accounts.models import Project, User
from inference.models import Completion, ModelVersion, VersionKind
from labeling.choices import TaskKind
from labeling.identity import digest_of, split_of
from labeling.models import (
    Assignment,
    Batch,
    Candidate,
    Demonstration,
    Draft,
    Prompt,
    RankedItem,
    Ranking,
    Skip,
    Slot,
    Tally,
    Task,
)
from labeling.services.batches import open_demonstration_batch
from labeling.services.candidates import open_ranking_batch


class ProjectFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Project

    name = factory.Sequence(lambda n: f"Project {n}")
    salt = factory.Sequence(lambda n: f"salt {n}".encode().ljust(32, b"."))


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"labeler-{n}")
    password = "!"


class PromptFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Prompt

    class Params:
        text = factory.Sequence(lambda n: f"Write a letter to number {n}.")

    project = factory.SubFactory(ProjectFactory)
    messages = factory.LazyAttribute(lambda o: [{"role": "user", "content": o.text}])
    digest = factory.LazyAttribute(lambda o: digest_of(o.messages))
    split = factory.LazyAttribute(lambda o: split_of("", o.digest))


class VersionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = ModelVersion

    project = factory.SubFactory(ProjectFactory)
    name = factory.Sequence(lambda n: f"secret-model-{n}")
    kind = VersionKind.EXTERNAL


class CompletionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Completion

    version = factory.SubFactory(VersionFactory)
    text = factory.Sequence(lambda n: f"Dear number {n}, all is well.")
    is_external = True


class BatchFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Batch

    project = factory.SubFactory(ProjectFactory)
    kind = TaskKind.RANKING
    quota = 1


class TaskFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Task

    batch = factory.SubFactory(BatchFactory)
    project = factory.SelfAttribute("batch.project")
    kind = factory.SelfAttribute("batch.kind")
    prompt = factory.SubFactory(PromptFactory, project=factory.SelfAttribute("..project"))


class CandidateFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Candidate

    task = factory.SubFactory(TaskFactory)
    completion = factory.SubFactory(
        CompletionFactory,
        version=factory.SubFactory(VersionFactory, project=factory.SelfAttribute("...task.project")),
    )


class SlotFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Slot

    task = factory.SubFactory(TaskFactory)
    number = 0
    project = factory.SelfAttribute("task.project")
    kind = factory.SelfAttribute("task.kind")


class AssignmentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Assignment

    slot = factory.SubFactory(SlotFactory)
    task = factory.SelfAttribute("slot.task")
    project = factory.SelfAttribute("slot.project")
    kind = factory.SelfAttribute("slot.kind")
    labeler = factory.SubFactory(UserFactory)
    lease_until = factory.LazyFunction(lambda: now() + timedelta(minutes=30))


class DraftFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Draft

    assignment = factory.SubFactory(AssignmentFactory)
    content = factory.LazyFunction(lambda: {"text": "Dear"})


class TallyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Tally

    batch = factory.SubFactory(BatchFactory)
    labeler = factory.SubFactory(UserFactory)


class RankingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Ranking

    task = factory.SubFactory(TaskFactory)
    project = factory.SelfAttribute("task.project")
    labeler = factory.SubFactory(UserFactory)
    body_sha256 = "0" * 64


class RankedItemFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = RankedItem

    ranking = factory.SubFactory(RankingFactory)
    candidate = factory.SubFactory(CandidateFactory, task=factory.SelfAttribute("..ranking.task"))
    rank = 1


class DemonstrationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Demonstration

    task = factory.SubFactory(TaskFactory, batch__kind=TaskKind.DEMONSTRATION)
    project = factory.SelfAttribute("task.project")
    labeler = factory.SubFactory(UserFactory)
    text = "Dear Mother, all is well."
    body_sha256 = "0" * 64


class SkipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Skip

    assignment = factory.SubFactory(AssignmentFactory)
    task = factory.SelfAttribute("assignment.task")
    labeler = factory.SelfAttribute("assignment.labeler")
    reason = "unclear"


def ranking_batch(
    project: Project,
    *,
    tasks: int = 1,
    texts: Sequence[str] = ("a", "b", "c"),
    overlap: int = 1,
    kind: str = "ranking",
) -> Batch:
    """An open batch of ranking tasks, each with these texts by an external version."""
    version = VersionFactory(project=project)
    items: Any = []
    for _ in range(tasks):
        prompt = PromptFactory(project=project)
        items.append((prompt, [CompletionFactory(version=version, text=text) for text in texts]))
    return open_ranking_batch(
        project=project, items=items, kind=kind, overlap=overlap, title="Letters", max_completion_tokens=64
    )


def demonstration_batch(project: Project, *, tasks: int = 1, overlap: int = 1) -> Batch:
    """An open batch of demonstration tasks."""
    made: Any = [PromptFactory(project=project) for _ in range(tasks)]
    prompts = [prompt.pk for prompt in made]
    return open_demonstration_batch(
        project=project,
        prompts=Prompt.objects.filter(pk__in=prompts),
        quota=tasks * overlap,
        overlap=overlap,
        max_completion_tokens=64,
        title="Letters",
    )
