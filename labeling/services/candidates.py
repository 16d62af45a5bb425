"""Ranking tasks: completions put before labelers, blind, identical texts once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from uuid import UUID

from django.db import transaction

from accounts.events import record
from accounts.models import Project, User
from common.errors import InvalidInput, NotFound
from inference.models import Completion
from labeling.identity import folded
from labeling.models import Batch, Candidate, Prompt, TaskKind
from labeling.services.batches import add_tasks, new_batch

FEWEST, MOST = 2, 9
CHUNK = 500

Item = tuple[Prompt, Sequence[Completion]]


@transaction.atomic
def open_ranking_batch(
    *,
    project: Project,
    items: Iterable[Item],
    kind: str = TaskKind.RANKING,
    overlap: int = 1,
    title: str = "",
    max_completion_tokens: int = 0,
    actor: User | None = None,
) -> Batch:
    """A batch with one task for each (prompt, completions). The quota is all its slots.

    A prompt whose completions all say the same is left out: there is nothing to rank; the event counts them.
    Raises InvalidInput where K is not 2 to 9 (2 for comparisons), NotFound where something is of another project.
    """
    if kind not in (TaskKind.RANKING, TaskKind.COMPARISON):
        raise InvalidInput(
            f"kind: {kind} has no candidates; expected ranking or comparison.", code="bad_kind"
        )
    batch = new_batch(
        project=project,
        kind=kind,
        title=title,
        quota=0,
        overlap=overlap,
        max_completion_tokens=max_completion_tokens,
    )
    add_ranking_tasks(batch=batch, items=items, actor=actor)
    return batch


@transaction.atomic
def add_ranking_tasks(*, batch: Batch, items: Iterable[Item], actor: User | None = None) -> int:
    """Add tasks to an open batch and raise its quota; a prompt that it has already is passed over. Tasks added."""
    batch.refresh_from_db(from_queryset=Batch.objects.select_for_update())
    waiting = iter(items)
    added = same = 0
    while chunk := list(islice(waiting, CHUNK)):
        _check(batch, chunk)
        different = [
            (prompt, shown) for prompt, shown in chunk if len({folded(c.text) for c in shown}) >= FEWEST
        ]
        same += len(chunk) - len(different)
        added += _add(batch, different)
    batch.quota += added * batch.overlap
    batch.save(update_fields=["quota"])
    facts = {"batch_kind": batch.kind, "tasks": added, "left_out": same, "quota": batch.quota}
    record("batch.opened", subject=batch, actor=actor, project=batch.project, **facts)
    return added


def _check(batch: Batch, chunk: Sequence[Item]) -> None:
    most = FEWEST if batch.kind == TaskKind.COMPARISON else MOST
    for prompt, completions in chunk:
        if prompt.project_id != batch.project_id:
            raise NotFound(f"Prompt {prompt.pk} belongs to another project.")
        if not FEWEST <= len(completions) <= most:
            message = (
                f"Prompt {prompt.pk} has {len(completions)} completions; {FEWEST} to {most} can be ranked."
            )
            raise InvalidInput(message, code="bad_candidate_count")
    ids = [completion.pk for _, completions in chunk for completion in completions]
    if Completion.objects.filter(pk__in=ids).exclude(version__project=batch.project_id).exists():
        raise NotFound("A completion was written by a version of another project.")


def _add(batch: Batch, chunk: Sequence[Item]) -> int:
    first = {prompt.pk: completions for prompt, completions in reversed(chunk)}
    tasks = {task.prompt_id: task.pk for task in add_tasks(batch, [prompt.pk for prompt, _ in chunk])}
    rows = [one for prompt, task in tasks.items() for one in candidates_of(task, first[prompt])]
    Candidate.objects.bulk_create(rows, batch_size=CHUNK)
    return len(tasks)


def candidates_of(task_id: UUID, completions: Iterable[Completion]) -> list[Candidate]:
    """Unsaved candidates; a text that came before (NFC, white space folded) is merged into its first one."""
    first: dict[str, Candidate] = {}
    rows = []
    for completion in completions:
        row = Candidate(task_id=task_id, completion=completion)
        row.merged_into = first.get(folded(completion.text))
        first.setdefault(folded(completion.text), row)
        rows.append(row)
    return rows
