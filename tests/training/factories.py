"""One factory a table of training, valid by default, and short ways to the usual situations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import factory
from django.utils.timezone import now

from accounts.models import Project, User
from inference.models import VersionKind
from labeling.identity import digest_of
from labeling.models import Assignment, Demonstration, Prompt, Ranking, Split, Task, TaskKind
from labeling.services.assignment import next_assignment
from labeling.services.submissions import submit_demonstration, submit_ranking
from tests.factories import CompletionFactory, ProjectFactory, VersionFactory
from tests.labeling.factories import DemonstrationFactory, TaskFactory, ranking_batch
from training.models import (
    Attempt,
    Evaluation,
    Metric,
    Round,
    Run,
    RunKind,
    Score,
    Snapshot,
    SnapshotItem,
    SnapshotKind,
)
from training.recipe import Recipe


class RoundFactory(factory.django.DjangoModelFactory[Round]):
    class Meta:
        model = Round

    project = factory.SubFactory(ProjectFactory)
    number = factory.Sequence(lambda n: n + 1)
    recipe = factory.LazyFunction(lambda: Recipe.parse({}).to_json())
    opponent = factory.SubFactory(
        VersionFactory, project=factory.SelfAttribute("..project"), kind=VersionKind.BASE
    )


class SnapshotFactory(factory.django.DjangoModelFactory[Snapshot]):
    class Meta:
        model = Snapshot

    project = factory.SubFactory(ProjectFactory)
    kind = SnapshotKind.SFT
    digest = factory.Sequence(lambda n: hashlib.sha256(f"folder {n}".encode()).hexdigest())
    content_sha256 = factory.Sequence(lambda n: hashlib.sha256(f"snapshot {n}".encode()).hexdigest())
    counts = factory.LazyFunction(
        lambda: {"rows": {"train": 3, "valid": 0, "heldout": 0}, "total": 3, "labelers": 2}
    )
    as_of = factory.LazyFunction(now)


class SnapshotItemFactory(factory.django.DjangoModelFactory[SnapshotItem]):
    class Meta:
        model = SnapshotItem

    snapshot = factory.SubFactory(SnapshotFactory)
    answer_id = factory.Faker("uuid4")
    content_sha256 = "0" * 64


class RunFactory(factory.django.DjangoModelFactory[Run]):
    class Meta:
        model = Run

    project = factory.SubFactory(ProjectFactory)
    kind = RunKind.SFT
    config = factory.LazyFunction(lambda: Recipe.parse({"sft": {"preset": "test"}}).config("sft"))
    model = factory.SubFactory(
        VersionFactory, project=factory.SelfAttribute("..project"), kind=VersionKind.BASE
    )


class AttemptFactory(factory.django.DjangoModelFactory[Attempt]):
    class Meta:
        model = Attempt

    run = factory.SubFactory(RunFactory)
    fence = 1


class MetricFactory(factory.django.DjangoModelFactory[Metric]):
    class Meta:
        model = Metric

    run = factory.SubFactory(RunFactory)
    step = factory.Sequence(lambda n: n)
    fence = 1
    values = factory.LazyFunction(lambda: {"sft/loss": 2.5, "progress": 0.5})


class ScoreFactory(factory.django.DjangoModelFactory[Score]):
    class Meta:
        model = Score

    run = factory.SubFactory(RunFactory, kind=RunKind.SCORE)
    completion = factory.SubFactory(CompletionFactory)
    reward = 0.5


class EvaluationFactory(factory.django.DjangoModelFactory[Evaluation]):
    class Meta:
        model = Evaluation

    round = factory.SubFactory(RoundFactory)


def prompts(project: Project, *, train: int = 0, valid: int = 0, heldout: int = 0) -> list[Prompt]:
    """Prompts of each split; the split is set, so that small projects have some of each."""
    made = []
    for split, count in ((Split.TRAIN, train), (Split.VALID, valid), (Split.HELDOUT, heldout)):
        for number in range(count):
            messages = [{"role": "user", "content": f"Write {split} letter number {number}."}]
            made.append(Prompt(project=project, messages=messages, digest=digest_of(messages), split=split))  # type: ignore[arg-type]  # plain dicts
    return Prompt.objects.bulk_create(made)


def demonstrations(
    project: Project, labeler: User, made: list[Prompt], **changes: Any
) -> list[Demonstration]:
    """One answer of `labeler` to each prompt."""
    return [
        DemonstrationFactory.create(
            task=TaskFactory(
                project=project, batch__project=project, batch__kind=TaskKind.DEMONSTRATION, prompt=prompt
            ),
            project=project,
            labeler=labeler,
            text=f"Dear friend, this answers prompt {number}.",
            **changes,
        )
        for number, prompt in enumerate(made)
    ]


def rankings(project: Project, labeler: User, *, tasks: int = 1) -> list[Ranking]:
    """Rankings of three answers each, given through the queue as people do: the shown order, no ties."""
    batch = ranking_batch(project, tasks=tasks)
    answer_all(project, labeler)
    return list(Ranking.objects.filter(task__batch=batch).order_by("id"))


def rankings_on(project: Project, labeler: User, asked: list[Prompt]) -> list[Ranking]:
    """A ranking of each of these prompts, by the one labeler."""
    batch = ranking_batch(project, tasks=len(asked))
    for task, prompt in zip(batch.tasks.order_by("pk"), asked, strict=True):
        Task.objects.filter(pk=task.pk).update(prompt=prompt)
    answer_all(project, labeler)
    return [Ranking.objects.get(task__batch=batch, task__prompt=prompt) for prompt in asked]


def answer_all(
    project: Project, labeler: User, *, order: Callable[[Any], Any] | None = None, at_most: int = 1000
) -> int:
    """Take and answer tasks until there are none for this labeler; how many."""
    for number in range(at_most):
        found = next_assignment(project=project, labeler=labeler)["assignment"]
        if found is None:
            return number
        answer(
            Assignment.objects.get(pk=found["id"]),
            found,
            order or shown_order,
            f"Dear friend {number}, all is well.",
        )
    return at_most


def answer(assignment: Assignment, found: Any, order: Callable[[Any], Any], text: str) -> None:
    """Answer one task through the services, as a person would."""
    common: dict[str, Any] = {
        "assignment": assignment,
        "key": f"key-{assignment.pk}",
        "fingerprint": "0" * 64,
    }
    if found["kind"] == TaskKind.DEMONSTRATION:
        submit_demonstration(text=text, **common)
    else:
        submit_ranking(tiers=order(found), **common)


def shown_order(found: Any) -> list[list[str]]:
    """The candidates as they were shown, no ties."""
    return [[one["id"]] for one in found["candidates"]]
