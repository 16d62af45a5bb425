"""Batches: what is asked of the labelers at one time, opened and ended by whoever stands above (a round, an import)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.events import record
from accounts.models import Project, User
from common.errors import InvalidInput
from common.state_machine import move, move_rows
from labeling.models import Assignment, Batch, Prompt, Slot, Task, TaskKind
from labeling.states import ASSIGNMENT_MOVES, BATCH_MOVES, TASK_MOVES, AssignmentState, BatchState, TaskState

CHUNK = 2000


@transaction.atomic
def open_demonstration_batch(
    *,
    project: Project,
    prompts: QuerySet[Prompt],
    quota: int,
    overlap: int = 1,
    max_completion_tokens: int = 0,
    title: str = "",
    actor: User | None = None,
) -> Batch:
    """One demonstration task, with `overlap` slots, for each of `prompts`; `quota` answers in all are wanted.

    There may be more tasks than the quota needs, so that skipped prompts do not keep it from being met.
    """
    batch = new_batch(
        project=project,
        kind=TaskKind.DEMONSTRATION,
        title=title,
        quota=quota,
        overlap=overlap,
        max_completion_tokens=max_completion_tokens,
    )
    ids = iter(prompts.filter(project=project).values_list("pk", flat=True).iterator(CHUNK))
    tasks = 0
    while chunk := list(islice(ids, CHUNK)):
        tasks += len(add_tasks(batch, chunk))
    record(
        "batch.opened",
        subject=batch,
        actor=actor,
        project=project,
        batch_kind=batch.kind,
        tasks=tasks,
        quota=quota,
    )
    return batch


def new_batch(
    *, project: Project, kind: str, title: str, quota: int, overlap: int, max_completion_tokens: int
) -> Batch:
    """An open batch without tasks. Raises InvalidInput for an overlap outside 1 to 9."""
    if not 1 <= overlap <= 9:
        raise InvalidInput(f"overlap: {overlap} answers a task; 1 to 9 are possible.", code="bad_overlap")
    return Batch.objects.create(
        project=project,
        kind=kind,
        title=title[:120],
        quota=quota,
        overlap=overlap,
        max_completion_tokens=max_completion_tokens,
    )


def add_tasks(batch: Batch, prompt_ids: Iterable[UUID]) -> list[Task]:
    """Tasks with their slots; prompts that the batch has already are passed over. Call inside a transaction."""
    wanted = list(dict.fromkeys(prompt_ids))
    known = set(Task.objects.filter(batch=batch, prompt_id__in=wanted).values_list("prompt_id", flat=True))
    tasks = Task.objects.bulk_create(
        [
            Task(batch=batch, project_id=batch.project_id, kind=batch.kind, prompt_id=one)
            for one in wanted
            if one not in known
        ],
        batch_size=CHUNK,
    )
    Slot.objects.bulk_create(
        [
            Slot(task=task, number=number, project_id=batch.project_id, kind=batch.kind)
            for task in tasks
            for number in range(batch.overlap)
        ],
        batch_size=CHUNK,
    )
    return tasks


@transaction.atomic
def freeze(*, batch: Batch, actor: User | None = None) -> Batch:
    """No more answers, corrections included. A second time does nothing. Raises IllegalMove for a cancelled batch."""
    return _end(batch, BatchState.FROZEN, actor)


@transaction.atomic
def cancel(*, batch: Batch, actor: User | None = None) -> Batch:
    """Give the batch up: what is answered stays, the rest is withdrawn. A second time does nothing."""
    return _end(batch, BatchState.CANCELLED, actor)


def _end(batch: Batch, state: BatchState, actor: User | None) -> Batch:
    batch.refresh_from_db(fields=["state", "frozen_at"], from_queryset=Batch.objects.select_for_update())
    if batch.state == state:
        return batch
    move(batch, state, BATCH_MOVES, frozen_at=Now())
    # Slots before assignments, as everywhere: a hand-out that runs at this moment locks in the same order.
    open_slots = Slot.objects.filter(task__batch=batch, is_open=True)
    closed = open_slots.update(is_open=False, labeler=None, lease_until=None)
    holders = Assignment.objects.filter(task__batch=batch)
    move_rows(holders, AssignmentState.EXPIRED, ASSIGNMENT_MOVES, ended_at=Now())
    if state == BatchState.CANCELLED:
        move_rows(Task.objects.filter(batch=batch), TaskState.WITHDRAWN, TASK_MOVES)
    record(f"batch.{state}", subject=batch, actor=actor, project=batch.project, slots_closed=closed)
    return batch
