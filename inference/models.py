"""A registry of model versions, and text that a version wrote when asked. Knows no labeler and no round."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from accounts.models import Project, User
from inference.states import JobState, Stage


class VersionKind(models.TextChoices):
    BASE = "base"
    SFT = "sft"
    REWARD = "reward"
    POLICY = "policy"
    MODERATION = "moderation"
    EMBEDDING = "embedding"
    EXTERNAL = "external"  # wrote imported answers; we have its name, not its weights


WRITES_TEXT = (VersionKind.BASE, VersionKind.SFT, VersionKind.POLICY)


class ModelVersion(models.Model):
    """An immutable folder of weights in the content-addressed store, and what made it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="versions")
    name = models.CharField(max_length=120)  # "starter-sft-r1": unique in the project, what people say
    kind = models.CharField(max_length=12, choices=VersionKind)
    stage = models.CharField(max_length=10, choices=Stage, default=Stage.READY)
    digest = models.CharField(max_length=64, blank=True)  # of the folder; blank only for external
    tokenizer_digest = models.CharField(max_length=64, blank=True)
    parameters = models.BigIntegerField(default=0)  # number of weights
    context_tokens = models.PositiveIntegerField(default=0)
    parents = models.ManyToManyField(
        "self", symmetrical=False, related_name="children", through="VersionParent"
    )
    metrics = models.JSONField(default=dict)  # final numbers of the run that made it
    card = models.TextField(blank=True)  # the model card, Markdown
    is_synthetic = models.BooleanField(default=False)  # learned from simulated labelers
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="version_name_unique_in_project"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(stage=Stage.CURRENT), name="one_current_policy_per_project"
            ),
            models.CheckConstraint(
                condition=~Q(stage=Stage.CURRENT) | Q(kind__in=WRITES_TEXT), name="current_policy_writes_text"
            ),
            models.CheckConstraint(
                condition=Q(kind=VersionKind.EXTERNAL) | ~Q(digest=""),
                name="version_has_digest_unless_external",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class VersionParent(models.Model):
    """`child` was made from `parent`, which played `role` (model, reference, reward)."""

    child = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="parent_links")
    parent = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="child_links")
    role = models.CharField(max_length=20)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["child", "role"], name="one_parent_per_role"),
            models.CheckConstraint(
                condition=~Q(child=models.F("parent")), name="version_is_not_its_own_parent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.child_id}: {self.parent_id}"


class SamplingJob(models.Model):
    """Ask one version for n completions of each of many prompts. The row is the truth, the message a doorbell."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sampling_jobs")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="sampling_jobs")
    params = models.JSONField()  # inference.engine.config.SamplingParams.to_json()
    seed = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=JobState, default=JobState.QUEUED)
    reason = models.TextField(blank=True)  # why it failed or was cancelled, for people
    fence = models.PositiveIntegerField(
        default=0
    )  # grows with every claim; a write with an old one changes nothing
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    wanted = models.PositiveIntegerField(default=0)  # completions asked for
    finished = models.PositiveIntegerField(default=0)  # completions written
    tokens_per_second = models.FloatField(null=True)
    requested_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    enqueued_at = models.DateTimeField(
        default=now
    )  # the outbox: queued and rung for long ago is rung for again
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="sampling_job_state_known"),
            models.CheckConstraint(
                condition=Q(finished__lte=models.F("wanted")), name="sampling_job_not_over_full"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["state", "created_at"], name="sampling_job_due")]

    def __str__(self) -> str:
        return f"sampling job {self.pk}, {self.state}"


class SampleRequest(models.Model):
    """One prompt of a job. `key` names the prompt for the seeds: its digest, never a place in a list."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(SamplingJob, on_delete=models.CASCADE, related_name="requests")
    key = models.CharField(max_length=64)
    messages = models.JSONField()
    n = models.PositiveSmallIntegerField()
    redrawn = models.PositiveSmallIntegerField(default=0)  # drawn beyond n, because texts were alike

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "key"], name="one_request_per_prompt_and_job"),
            models.CheckConstraint(condition=Q(n__gte=1, n__lte=128), name="sample_request_n_1_to_128"),
        ]

    def __str__(self) -> str:
        return f"{self.n} of {self.key[:12]}"


class Completion(models.Model):
    """Text that a model version wrote for a prompt, with everything needed to say how.

    `logprobs[i]` is the raw log-probability (natural log, T=1) of `token_ids[i]`; the end token is included.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="completions")
    request = models.ForeignKey(
        SampleRequest, on_delete=models.CASCADE, null=True, related_name="completions"
    )
    candidate = models.PositiveSmallIntegerField(default=0)
    text = models.TextField()
    token_ids = models.JSONField(null=True)
    logprobs = models.JSONField(null=True)
    seed = models.BigIntegerField(null=True)
    params = models.JSONField(default=dict)
    finish_reason = models.CharField(max_length=16, blank=True)  # stop | length
    is_external = models.BooleanField(
        default=False
    )  # imported; only then may ids, seed, log-probabilities be null
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "candidate"], name="one_completion_per_candidate"),
            models.CheckConstraint(
                condition=Q(is_external=True)
                | Q(
                    token_ids__isnull=False, logprobs__isnull=False, seed__isnull=False, request__isnull=False
                ),
                name="sampled_completion_is_fully_described",
            ),
        ]

    def __str__(self) -> str:
        return f"candidate {self.candidate} of {self.request_id}"
