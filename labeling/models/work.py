"""Prompts, and the tasks that are handed out under a lease."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from accounts.models import Project, User
from inference.models import Completion
from labeling.choices import LeftOutReason, PromptSource, Split, TaskKind
from labeling.identity import uuid7
from labeling.models.base import Row
from labeling.states import AssignmentState, BatchState, TaskState


class Prompt(Row):
    """A list of messages that ends with what a person asks. Ids grow with time: lists need no other order."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    messages = models.JSONField()
    digest = models.CharField(max_length=64)  # sha256 of the canonical messages
    owner_key = models.CharField(max_length=120, blank=True)  # blank: its own owner
    split = models.CharField(max_length=8, choices=Split)  # decided once, by a hash of the owner key
    source = models.CharField(max_length=12, choices=PromptSource, default=PromptSource.IMPORTED)
    external_id = models.CharField(max_length=200, blank=True)
    prefix_digest = models.CharField(
        max_length=32, blank=True
    )  # equal among near-duplicates; blank: not known
    pii = models.JSONField(default=list)  # kinds of personal data found in it (pii.py), never what it says
    tags = models.JSONField(default=list)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "digest"], name="prompt_once_per_project"),
            models.CheckConstraint(condition=Q(split__in=Split.values), name="prompt_split_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "id"], name="prompt_newest"),
            models.Index(fields=["project", "split", "id"], name="prompt_by_split"),
            models.Index(fields=["project", "prefix_digest"], name="prompt_by_prefix"),
            models.Index(fields=["project", "owner_key"], condition=~Q(owner_key=""), name="prompt_by_owner"),
        ]


class LeftOut(Row):
    """A prompt that an import left out, and why: its digest only. Importing it again writes no second row."""

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=16, choices=LeftOutReason)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "digest"], name="left_out_once_per_project"),
            models.CheckConstraint(
                condition=Q(reason__in=LeftOutReason.values), name="left_out_reason_known"
            ),
        ]


class Batch(Row):
    """What somebody (a round, an import) asks of the labelers at one time: kind, quota, overlap, limits."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches")
    kind = models.CharField(max_length=14, choices=TaskKind)
    title = models.CharField(max_length=120, blank=True)
    state = models.CharField(max_length=10, choices=BatchState, default=BatchState.OPEN)
    quota = models.PositiveIntegerField()  # answers wanted in all
    overlap = models.PositiveSmallIntegerField(default=1)  # answers wanted of each task
    max_completion_tokens = models.PositiveIntegerField(default=0)  # 0: no limit known
    allow_ties = models.BooleanField(default=True)
    is_import = models.BooleanField(default=False)  # answers that came with an import; nothing was handed out
    created_at = models.DateTimeField(default=now)
    frozen_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(overlap__gte=1, overlap__lte=9), name="batch_overlap_1_to_9"),
            models.CheckConstraint(condition=Q(kind__in=TaskKind.values), name="batch_kind_known"),
            models.CheckConstraint(condition=Q(state__in=BatchState.values), name="batch_state_known"),
        ]


class Tally(Row):
    """How much one labeler did in one batch: a counter that only its labeler writes, so nobody queues on it."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    answers = models.PositiveIntegerField(default=0)  # counted ones: not late ones, not corrections
    skips = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "labeler"], name="one_tally_per_batch_and_labeler"),
        ]


class Task(Row):
    """One thing to be done by `overlap` labelers."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    kind = models.CharField(max_length=14, choices=TaskKind)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="tasks")
    copy = models.PositiveIntegerField(
        default=0
    )  # above 0 only where an import brought several answers to one prompt
    state = models.CharField(max_length=10, choices=TaskState, default=TaskState.OPEN)
    priority = models.SmallIntegerField(default=0)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "prompt", "copy"], name="prompt_once_per_batch"),
            models.CheckConstraint(condition=Q(state__in=TaskState.values), name="task_state_known"),
        ]


class Candidate(Row):
    """A completion put before labelers in a task. Identical texts share `merged_into` and are shown once."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="candidates", db_index=False)
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="candidates")
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merged_into = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="duplicates")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "completion"], name="completion_once_per_task"),
        ]


class Slot(Row):
    """One row per wanted answer. Over-assignment is impossible because there is no row to take."""

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="slots", db_index=False)
    number = models.PositiveSmallIntegerField()  # 0 .. overlap-1
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="slots", db_index=False)
    kind = models.CharField(max_length=14, choices=TaskKind)  # of the task: the hand-out index needs it here
    priority = models.SmallIntegerField(default=0)  # higher first
    rnd = models.UUIDField(default=uuid.uuid4)  # hand-out order among equals, from the highest down
    is_open = models.BooleanField(default=True)  # not answered, task open, batch open
    labeler = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="slots", db_index=False
    )
    lease_until = models.DateTimeField(null=True)
    answered = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "number"], name="slot_number_once_per_task"),
            models.UniqueConstraint(
                fields=["task", "labeler"],
                condition=Q(labeler__isnull=False),
                name="one_slot_per_task_and_labeler",
            ),
            models.CheckConstraint(
                condition=Q(answered=False) | Q(labeler__isnull=False, is_open=False),
                name="answered_slot_has_labeler",
            ),
            models.CheckConstraint(
                condition=Q(labeler__isnull=True, lease_until__isnull=True)
                | Q(labeler__isnull=False, answered=True)
                | Q(labeler__isnull=False, lease_until__isnull=False),
                name="held_slot_has_a_lease_end",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["project", "kind", "priority", "rnd"],
                condition=Q(is_open=True, labeler__isnull=True),
                name="slot_free",
            ),
            models.Index(
                fields=["lease_until"],
                condition=Q(is_open=True, labeler__isnull=False),
                name="slot_lease_end",
            ),
        ]


class Assignment(Row):
    """A task leased to one labeler: what they saw, in which order, and what became of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    slot = models.ForeignKey(Slot, on_delete=models.CASCADE, related_name="assignments")  # taken last
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="assignments", db_index=False)
    kind = models.CharField(max_length=14, choices=TaskKind)
    state = models.CharField(max_length=10, choices=AssignmentState, default=AssignmentState.LEASED)
    seat = models.PositiveSmallIntegerField(default=0)  # 0 and 1: one open task and one fetched ahead
    leased_at = models.DateTimeField(default=now)
    lease_until = models.DateTimeField()
    renewals = models.PositiveSmallIntegerField(default=0)
    display_order = models.JSONField(default=list)  # candidate ids in the order shown
    guideline_version = models.PositiveIntegerField(default=1)
    active_ms = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "labeler"], name="one_assignment_per_task_and_labeler"),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(state=AssignmentState.LEASED), name="one_live_lease_per_slot"
            ),
            models.UniqueConstraint(
                fields=["labeler", "project", "seat"],
                condition=Q(state=AssignmentState.LEASED),
                name="one_live_lease_per_seat",
            ),
            models.CheckConstraint(condition=Q(seat__lte=1), name="two_seats_per_labeler"),
            models.CheckConstraint(
                condition=Q(state__in=AssignmentState.values), name="assignment_state_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["labeler", "project", "-leased_at"], name="assignment_of_labeler"),
            models.Index(
                fields=["labeler", "project"],
                condition=Q(state=AssignmentState.EXPIRED),
                name="assignment_expired",
            ),
        ]


class Draft(Row):
    """The unsent answer. `revision` is its ETag: a stale writer is told so and gets the newer text."""

    assignment = models.OneToOneField(
        Assignment, on_delete=models.CASCADE, primary_key=True, related_name="draft"
    )
    content = models.JSONField()
    revision = models.PositiveIntegerField(default=1)
    saved_at = models.DateTimeField(default=now)
