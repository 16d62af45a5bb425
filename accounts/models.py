"""People, projects, and what everybody did."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.timezone import now


class User(AbstractUser):
    """Somebody who signs in. A password is never set by us: people enter by single-use links.

    `is_synthetic` marks simulated labelers; whatever they write carries the mark to every page and export.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    display_name = models.CharField(max_length=80, blank=True)
    language = models.CharField(  # empty until chosen: then the browser's
        max_length=10, default="", blank=True, choices=[("en", "English"), ("zh-Hans", "简体中文")]
    )
    is_synthetic = models.BooleanField(default=False)

    # Not a column: who comes with a token for one project sees that project only. Set by accounts/auth.py.
    limited_to: uuid.UUID | None = None

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(language__in=["", "en", "zh-Hans"]), name="user_language_known"
            ),
        ]


class Project(models.Model):
    """One model being taught: its prompts, its labelers, its rounds, its versions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=4000)
    guidelines = models.TextField(blank=True, max_length=65536)  # Markdown, shown to labelers
    guideline_version = models.PositiveIntegerField(
        default=1
    )  # every answer carries the one it was made under
    is_demo = models.BooleanField(default=False)
    salt = models.BinaryField(
        max_length=32
    )  # secret: display orders and labeler pseudonyms are derived from it
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    LABELER = "labeler"  # writes demonstrations and ranks; sees own work
    REVIEWER = "reviewer"  # sees everybody's answers and quality, besides
    ADMIN = "admin"  # imports, launches, promotes, invites, besides


class Pool(models.TextChoices):
    TRAIN = "train"
    HELDOUT = "heldout"  # answers never enter a training snapshot
    RESEARCHER = "researcher"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    pool = models.CharField(max_length=10, choices=Pool, default=Pool.TRAIN)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_membership_per_user_and_project"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
            models.CheckConstraint(condition=Q(pool__in=Pool.values), name="membership_pool_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.role}"


class LabelerWeight(models.Model):
    """How much each ranking of a person counts where a project's models learn from it; without a row, 1.

    It outlives the membership, as the rankings do.
    """

    MOST = 10.0
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="labeler_weights", db_index=False
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="labeler_weights")
    weight = models.FloatField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_weight_per_labeler_and_project"),
            models.CheckConstraint(condition=Q(weight__gt=0, weight__lte=10.0), name="labeler_weight_range"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.weight:g}"


class SignInLink(models.Model):
    """A link that signs one person in, once. Only the SHA-256 of its secret is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    secret_sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link of {self.user_id}"


class ApiToken(models.Model):
    """A bearer token: `pct_` + prefix + secret, shown once, stored as SHA-256.

    `scopes` limits it below its owner's roles; `project` (null: all of the owner's) limits it to one project.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(
        max_length=12, unique=True
    )  # shown in lists, so that people know which is which
    secret_sha256 = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class Event(models.Model):
    """Something happened. Append-only; written in the transaction of what it records.

    `actor` is the pseudonym of a user, never a name; null is the system itself. `subject` is "<model>:<id>".
    `chain_seq` and `chain_sha256` are filled by the sealer afterwards, once, in order of `id`.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=now)
    kind = models.CharField(max_length=60)
    subject = models.CharField(max_length=80)
    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    actor = models.CharField(max_length=40, null=True)  # noqa: DJ001 - null is a meaning of its own: the system
    data = models.JSONField(default=dict)
    chain_seq = models.BigIntegerField(null=True, unique=True)
    chain_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="event_project_newest"),
            models.Index(fields=["subject", "id"], name="event_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
