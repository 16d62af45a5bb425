"""What labelers gave: demonstrations, rankings, skips."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from accounts.models import Pool, Project, User
from labeling.choices import SkipReason
from labeling.models.base import Row
from labeling.models.work import Assignment, Candidate, Task


class Answer(Row):
    """What a demonstration and a ranking have in common. Immutable; a correction is a new revision."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="%(class)ss", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="%(class)ss", db_index=False)
    assignment = models.ForeignKey(
        Assignment, on_delete=models.PROTECT, null=True, related_name="%(class)ss"
    )  # null: imported
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="%(class)ss")
    pool = models.CharField(max_length=10, choices=Pool, default=Pool.TRAIN)
    revision = models.PositiveIntegerField(default=1)
    is_latest = models.BooleanField(default=True)  # the revision that counts
    is_late = models.BooleanField(default=False)  # kept, not counted
    is_synthetic = models.BooleanField(default=False)  # by a simulated labeler
    guideline_version = models.PositiveIntegerField(default=1)
    active_ms = models.PositiveBigIntegerField(default=0)
    note = models.TextField(blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    body_sha256 = models.CharField(max_length=64)
    submitted_at = models.DateTimeField(default=now)

    class Meta:
        abstract = True
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "labeler", "revision"], name="%(class)s_revision_once"),
            models.UniqueConstraint(
                fields=["task", "labeler"], condition=Q(is_latest=True), name="%(class)s_one_latest"
            ),
            models.UniqueConstraint(
                fields=["labeler", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="%(class)s_idempotency_key_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "id"], name="%(class)s_export")]


class Demonstration(Answer):
    """The answer a labeler would want the model to give."""

    text = models.TextField()

    class Meta(Answer.Meta):
        abstract = False


class Ranking(Answer):
    """An order of the K completions with ties: tiers from best to worst, in RankedItem."""

    display_order = models.JSONField(default=list)  # candidate ids as this labeler saw them
    confidence = models.PositiveSmallIntegerField(null=True)  # 1 .. 5

    class Meta(Answer.Meta):
        abstract = False


class RankedItem(Row):
    """Where one candidate stands. `rank` 1 is best; equal ranks are a tie (dense: 1, 2, 2, 3)."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="items", db_index=False)
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="ranked")
    rank = models.PositiveSmallIntegerField()
    likert = models.PositiveSmallIntegerField(null=True)  # overall quality, 1 .. 7
    is_forced = models.BooleanField(
        default=False
    )  # an identical text was shown once; the tie is ours, not theirs

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ranking", "candidate"], name="candidate_ranked_once"),
            models.CheckConstraint(condition=Q(rank__gte=1, rank__lte=9), name="rank_1_to_9"),
            models.CheckConstraint(
                condition=Q(likert__isnull=True) | Q(likert__gte=1, likert__lte=7), name="likert_1_to_7"
            ),
        ]


class Skip(Row):
    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="skip")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="skips")
    labeler = models.ForeignKey(User, on_delete=models.PROTECT, related_name="skips")
    reason = models.CharField(max_length=10, choices=SkipReason)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(default=now)
