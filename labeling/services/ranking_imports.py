"""Rankings that people gave elsewhere: answers by external versions, annotators under pseudonyms."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, TypedDict
from uuid import UUID

from django.db import connection, transaction

from accounts.events import record
from accounts.models import Pool, Project, User
from accounts.services import create_user
from common.errors import InvalidInput
from inference.models import Completion, ModelVersion
from inference.services.external import add_external_completions, register_external
from labeling.models import Batch, Candidate, Prompt, PromptSource, RankedItem, Ranking, Task, TaskKind
from labeling.ranking_rows import RankingRow, parse_ranking_row
from labeling.services.candidates import candidates_of, open_ranking_batch
from labeling.services.imports import Errors, good_rows
from labeling.services.prompts import LIMIT, count_imported, import_batch
from labeling.states import TaskState

CHUNK = 200


class RankingImportReport(TypedDict):
    """What an import of rankings did."""

    tasks: int
    rankings: int
    annotators: int
    prompts: int  # new ones
    flagged: int  # of them with personal data: those of the training split are kept out of training
    duplicates: int  # rows that an earlier import brought: same prompt, same answers
    opened: int  # tasks opened for the project's own labelers


@transaction.atomic
def import_rankings(
    *,
    project: Project,
    stream: IO[bytes],
    actor: User,
    pool: str = Pool.RESEARCHER,
    title: str = "",
    unnamed: str = "external",
    open_overlap: int = 0,
) -> RankingImportReport:
    """Import JSON lines (ranking_rows.py says which), all rows or none. Raises ImportRefused.

    The answers belong to external versions named as in the file, or `unnamed`. The annotators become users who can't
    sign in, in this `pool`. With `open_overlap` the same answers are also put before the project's own labelers.
    """
    if pool not in Pool.values:
        raise InvalidInput(f"pool: expected one of {', '.join(Pool.values)}.")
    with connection.cursor() as cursor:
        cursor.execute(LIMIT)
    errors = Errors()
    batch = import_batch(project, TaskKind.RANKING, title=title)
    work = _Import(project, actor, batch, pool, unnamed)
    rows = (row for _, row in good_rows(stream, parse_ranking_row, errors))
    while chunk := list(islice(rows, CHUNK)):
        work.write(chunk)
    errors.refuse()
    opened = _open(batch, actor, title, open_overlap) if open_overlap and work.tasks else 0
    report: RankingImportReport = {
        "tasks": work.tasks,
        "rankings": sum(work.answers.values()),
        "annotators": len(work.answers),
        "prompts": work.prompts,
        "flagged": work.flagged,
        "duplicates": work.duplicates,
        "opened": opened,
    }
    record("rankings.imported", subject=batch, actor=actor, project=project, pool=pool, **report)
    if work.tasks:
        count_imported(batch, dict(work.answers))
    else:
        batch.delete()
    return report


class _Import:
    """The caches and counters of one import."""

    def __init__(self, project: Project, actor: User, batch: Batch, pool: str, unnamed: str) -> None:
        self.project, self.actor, self.batch, self.pool, self.unnamed = project, actor, batch, pool, unnamed
        self.versions: dict[str, ModelVersion] = {}
        self.annotators: dict[str, User] = {}
        self.copies: Counter[UUID] = Counter()
        self.answers: Counter[UUID] = Counter()
        self.tasks = self.prompts = self.flagged = self.duplicates = 0

    def write(self, rows: Sequence[RankingRow]) -> None:
        """Store a chunk of rows."""
        prompts = self._prompts(rows)
        known = self._known(prompts.values())
        fresh: list[tuple[RankingRow, Prompt]] = []
        for row in rows:
            prompt = prompts[row.prompt.digest]
            answers = tuple(sorted(row.responses))
            if answers in known[prompt.pk]:
                self.duplicates += 1
                continue
            known[prompt.pk].add(answers)
            fresh.append((row, prompt))
        completions = self._completions([row for row, _ in fresh])
        tasks = [self._task(prompt) for _, prompt in fresh]
        Task.objects.bulk_create(tasks)
        self.tasks += len(tasks)
        candidates = [candidates_of(task.pk, wrote) for task, wrote in zip(tasks, completions, strict=True)]
        Candidate.objects.bulk_create([one for of_task in candidates for one in of_task])
        self._rankings(zip((row for row, _ in fresh), tasks, candidates, strict=True))

    def _prompts(self, rows: Sequence[RankingRow]) -> dict[str, Prompt]:
        digests = {row.prompt.digest: row.prompt for row in rows}
        mine = Prompt.objects.filter(project=self.project, digest__in=digests)
        found = {prompt.digest: prompt for prompt in mine}
        missing = [
            Prompt(
                project=self.project,
                messages=row.messages,
                digest=digest,
                owner_key=row.owner_key,
                split=row.split,
                source=PromptSource.IMPORTED,
                external_id=row.external_id,
                tags=row.tags,
                prefix_digest=row.prefix_digest,
                pii=row.pii,
                created_by=self.actor,
            )
            for digest, row in sorted(digests.items())
            if digest not in found
        ]
        self.prompts += len(missing)
        self.flagged += sum(bool(prompt.pii) for prompt in missing)
        return found | {prompt.digest: prompt for prompt in Prompt.objects.bulk_create(missing)}

    def _known(self, prompts: Iterable[Prompt]) -> defaultdict[UUID, set[tuple[str, ...]]]:
        """The answers, sorted, that imports brought to these prompts before, task by task."""
        rows = Candidate.objects.filter(task__prompt__in=list(prompts), task__batch__is_import=True)
        texts: dict[tuple[UUID, UUID], list[str]] = defaultdict(list)
        for prompt, task, text in rows.values_list("task__prompt", "task", "completion__text"):
            texts[prompt, task].append(text)
        known: defaultdict[UUID, set[tuple[str, ...]]] = defaultdict(set)
        for (prompt, _), of_task in texts.items():
            known[prompt].add(tuple(sorted(of_task)))
        return known

    def _completions(self, rows: Sequence[RankingRow]) -> list[list[Completion]]:
        """The stored answers of each row, in its order; one insert for each system."""
        places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, row in enumerate(rows):
            for place, system in enumerate(row.systems):
                places[system or self.unnamed].append((number, place))
        found: dict[tuple[int, int], Completion] = {}
        for name, of_system in places.items():
            if name not in self.versions:
                self.versions[name] = register_external(project=self.project, name=name, actor=self.actor)
            texts = [rows[number].responses[place] for number, place in of_system]
            wrote = add_external_completions(version=self.versions[name], texts=texts)
            found.update(zip(of_system, wrote, strict=True))
        return [
            [found[number, place] for place in range(len(row.responses))] for number, row in enumerate(rows)
        ]

    def _task(self, prompt: Prompt) -> Task:
        copy = self.copies[prompt.pk]
        self.copies[prompt.pk] += 1
        common = {"batch": self.batch, "project": self.project, "kind": self.batch.kind}
        return Task(**common, prompt=prompt, copy=copy, state=TaskState.COMPLETE)

    def _rankings(self, rows: Iterable[tuple[RankingRow, Task, list[Candidate]]]) -> None:
        rankings, items = [], []
        for row, task, candidates in rows:
            for annotator, ranks in row.rankings:
                ranking = self._ranking(task, self._annotator(annotator), ranks)
                rankings.append(ranking)
                items += [
                    RankedItem(ranking=ranking, candidate=candidate, rank=rank)
                    for candidate, rank in zip(candidates, ranks, strict=True)
                ]
        Ranking.objects.bulk_create(rankings)
        RankedItem.objects.bulk_create(items, batch_size=2000)

    def _ranking(self, task: Task, annotator: User, ranks: Sequence[int]) -> Ranking:
        self.answers[annotator.pk] += 1
        return Ranking(
            task=task,
            project=self.project,
            labeler=annotator,
            pool=self.pool,
            guideline_version=self.project.guideline_version,
            body_sha256=hashlib.sha256(repr(list(ranks)).encode()).hexdigest(),
        )

    def _annotator(self, name: str) -> User:
        """A user who can't sign in. Their name in the file is not kept: only a hash of it, other in every project."""
        if name not in self.annotators:
            hashed = hashlib.sha256(bytes(self.project.salt) + name.encode()).hexdigest()[:16]
            user = User.objects.filter(username=f"ext-{hashed}").first()
            if user is None:
                user = create_user(username=f"ext-{hashed}", actor=self.actor)
                user.is_active = False
                user.save(update_fields=["is_active"])
            self.annotators[name] = user
        return self.annotators[name]


def _open(batch: Batch, actor: User, title: str, overlap: int) -> int:
    opened = open_ranking_batch(
        project=batch.project, items=_items(batch), overlap=overlap, title=title, actor=actor
    )
    return opened.tasks.count()


def _items(batch: Batch) -> Iterator[tuple[Prompt, list[Completion]]]:
    tasks = batch.tasks.filter(copy=0).select_related("prompt").prefetch_related("candidates__completion")
    for task in tasks.order_by("prompt").iterator(chunk_size=CHUNK):
        yield task.prompt, [candidate.completion for candidate in task.candidates.all()]
