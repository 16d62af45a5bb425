"""Rounds, the snapshots they freeze, the runs that learn from them, and what was measured."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from accounts.models import Project, User
from inference.models import Completion, ModelVersion, SamplingJob
from labeling.models import Batch
from training.states import ENDED, AttemptState, RoundState, RunState


class SnapshotKind(models.TextChoices):
    SFT = "sft"  # demonstrations
    RANKINGS = "rankings"  # canonical rankings: K-wise, with ties
    PROMPTS = "prompts"  # prompt-only, for PPO
    MEASURING = "measuring"  # rankings by held-out labelers: never learned from, never exported


class Snapshot(models.Model):
    """An immutable dataset, stored as a folder under its digest. Equal content is the same snapshot."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    kind = models.CharField(max_length=10, choices=SnapshotKind)
    digest = models.CharField(max_length=64)  # of the stored folder
    content_sha256 = models.CharField(
        max_length=64
    )  # of its data files alone: the manifest also tells the time
    counts = models.JSONField(default=dict)  # rows per split, ties, labelers, what was left out and why
    query = models.JSONField(default=dict)  # which rows were asked for
    as_of = models.DateTimeField()
    is_synthetic = models.BooleanField(default=False)  # holds answers of simulated labelers
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "kind", "content_sha256"], name="snapshot_content_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.content_sha256[:12]}"


class SnapshotItem(models.Model):
    """Lineage: which answer stands in which snapshot."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="items")
    answer_id = models.UUIDField()  # a Demonstration, a Ranking, or a Prompt, by the snapshot's kind
    content_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["snapshot", "answer_id"], name="answer_once_per_snapshot"),
        ]
        indexes: ClassVar = [models.Index(fields=["answer_id"], name="snapshot_item_answer")]

    def __str__(self) -> str:
        return f"{self.answer_id} in {self.snapshot_id}"


class Round(models.Model):
    """Once around: ask people, train, compare, decide."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=RoundState, default=RoundState.DRAFT)
    is_automatic = models.BooleanField(
        default=False
    )  # goes on by itself; otherwise a person confirms each step
    step_done = models.BooleanField(default=False)  # this step has what it needs; an admin may go on
    recipe = models.JSONField()  # training.recipe.Recipe: steps, quotas, K, configs, thresholds
    opponent = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="+"
    )  # current when it began
    sft = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    reward = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    candidate = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    demonstration_batch = models.ForeignKey(Batch, on_delete=models.PROTECT, null=True, related_name="+")
    ranking_batch = models.ForeignKey(Batch, on_delete=models.PROTECT, null=True, related_name="+")
    comparison_batch = models.ForeignKey(Batch, on_delete=models.PROTECT, null=True, related_name="+")
    sampling_job = models.ForeignKey(SamplingJob, on_delete=models.PROTECT, null=True, related_name="+")
    candidate_job = models.ForeignKey(SamplingJob, on_delete=models.PROTECT, null=True, related_name="+")
    opponent_job = models.ForeignKey(SamplingJob, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField(blank=True)  # why it stopped, for people
    reason_code = models.CharField(
        max_length=40, blank=True
    )  # the same for pages that speak another language
    failed_at_step = models.CharField(max_length=16, blank=True)  # what `retry` does over
    timeline = models.JSONField(default=dict)  # {step: {"started_at", "ended_at", "done", "wanted"}}
    is_synthetic = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    idempotency_key = models.CharField(max_length=200, blank=True)
    body_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_once_per_project"),
            models.UniqueConstraint(
                fields=["project", "created_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="round_idempotency_key_once",
            ),
            models.UniqueConstraint(
                fields=["project"], condition=~Q(state__in=ENDED), name="one_live_round_per_project"
            ),
            models.CheckConstraint(condition=Q(state__in=RoundState.values), name="round_state_known"),
        ]

    def __str__(self) -> str:
        return f"round {self.number} ({self.state})"


class RunKind(models.TextChoices):
    PRETRAIN = "pretrain"
    SFT = "sft"
    REWARD = "reward"
    PPO = "ppo"
    RLOO = "rloo"
    DPO = "dpo"
    SCORE = "score"  # rewards and KL of given completions; makes no version


ROLLOUT_RUNS = (RunKind.PPO, RunKind.RLOO)  # sample as they learn
POLICY_RUNS = (*ROLLOUT_RUNS, RunKind.DPO)


class Run(models.Model):
    """One training job. The row is the truth, the Celery message a doorbell, the run folder the work."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    round = models.ForeignKey(Round, on_delete=models.CASCADE, null=True, related_name="runs")
    kind = models.CharField(max_length=10, choices=RunKind)
    state = models.CharField(max_length=10, choices=RunState, default=RunState.QUEUED)
    config = models.JSONField()
    seed = models.BigIntegerField(default=0)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, null=True, related_name="runs")
    demonstrations = models.ForeignKey(Snapshot, on_delete=models.PROTECT, null=True, related_name="+")
    heldout_labelers = models.ForeignKey(Snapshot, on_delete=models.PROTECT, null=True, related_name="+")
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")  # starts from
    reference = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    reward = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    # Another reward model: what is learned is held against it.
    judge = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    produced = models.OneToOneField(ModelVersion, on_delete=models.PROTECT, null=True, related_name="made_by")
    # At most one version a role: the policy itself, where `produced` is its moving average.
    produced_raw = models.OneToOneField(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    fence = models.PositiveIntegerField(
        default=0
    )  # grows with every claim; a write with an old one changes nothing
    tries = models.PositiveSmallIntegerField(default=0)  # claims since it was launched or retried by a person
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    step = models.PositiveIntegerField(default=0)
    progress = models.FloatField(default=0.0)  # 0 .. 1
    eta_seconds = models.FloatField(null=True)
    checkpoint = models.CharField(max_length=120, blank=True)  # "attempt-2/step-40": where to go on from
    result = models.JSONField(default=dict)
    error = models.JSONField(default=dict)  # {"code", "message", "remedy"}
    launched_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    enqueued_at = models.DateTimeField(
        null=True
    )  # the outbox: queued and never or long ago enqueued is sent again
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state_known"),
            models.UniqueConstraint(
                fields=["round", "kind"],
                condition=Q(state__in=[RunState.QUEUED, RunState.RUNNING]),
                name="one_live_run_per_round_and_kind",
            ),
            models.CheckConstraint(
                condition=~Q(state=RunState.SUCCEEDED) | Q(produced__isnull=False) | Q(kind="score"),
                name="succeeded_run_has_a_version",
            ),
            models.CheckConstraint(
                condition=Q(produced_raw__isnull=True)
                | Q(produced__isnull=False, kind__in=ROLLOUT_RUNS) & ~Q(produced=models.F("produced_raw")),
                name="raw_policy_stands_beside_its_average",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} run {self.pk} ({self.state})"

    @property
    def sources(self) -> dict[str, ModelVersion]:
        """The versions that it reads, by the names of its inputs."""
        found = {
            "model": self.model, "reference": self.reference, "reward": self.reward, "judge": self.judge,
        }  # fmt: skip
        return {role: version for role, version in found.items() if version is not None}

    @property
    def stopped(self) -> str:
        """The setting that ended it early, with what was good until then; "" where it came to its end."""
        return str(self.result.get("stopped") or "")


class Attempt(models.Model):
    """One child process of a run. Its folder is runs/<run>/attempt-<fence>."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    fence = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=AttemptState, default=AttemptState.RUNNING)
    host = models.CharField(max_length=120, blank=True)
    pid = models.PositiveIntegerField(null=True)
    reason = models.TextField(blank=True)
    resumed_from = models.CharField(max_length=120, blank=True)
    started_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "fence"], name="one_attempt_per_fence")
        ]

    def __str__(self) -> str:
        return f"attempt {self.fence} of {self.run_id}"


class Metric(models.Model):
    """One row of metrics.jsonl. A later attempt replaces the rows after its checkpoint."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    fence = models.PositiveIntegerField()
    values = models.JSONField()
    at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "step"], name="one_metric_row_per_step")
        ]

    def __str__(self) -> str:
        return f"step {self.step} of {self.run_id}"


class Score(models.Model):
    """What a score run says about one completion."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="scores")
    completion = models.ForeignKey(Completion, on_delete=models.PROTECT, related_name="+")
    reward = models.FloatField()
    kl = models.FloatField(
        null=True
    )  # nats per response: log p(writer) - log p(reference), summed over its tokens
    tokens = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "completion"], name="one_score_per_run_and_completion"),
        ]

    def __str__(self) -> str:
        return f"{self.completion_id}: {self.reward}"


class Evaluation(models.Model):
    """Candidate against current policy: rewards on the same prompts, KL, and blind preferences."""

    round = models.OneToOneField(Round, on_delete=models.CASCADE, related_name="evaluation")
    summary = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"evaluation of {self.round_id}"
