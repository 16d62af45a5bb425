"""Shapes that go out. What comes in stands beside each endpoint."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.auth import SCOPES
from accounts.models import Pool, Role

LANGUAGES = ("en", "zh-Hans")


class Out(serializers.Serializer[Any]):
    """Base of what goes out."""


class ProjectRefOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()


class MyMembershipOut(Out):
    project = ProjectRefOut()
    role = serializers.ChoiceField(choices=Role.choices)
    pool = serializers.ChoiceField(choices=Pool.choices)


class MeOut(Out):
    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    language = serializers.ChoiceField(
        choices=LANGUAGES, allow_null=True, help_text="null until chosen: pages then follow the browser."
    )
    is_synthetic = serializers.BooleanField()
    may_create_projects = serializers.BooleanField()
    memberships = MyMembershipOut(many=True)


class PersonOut(Out):
    id = serializers.UUIDField()
    display_name = serializers.CharField()
    is_synthetic = serializers.BooleanField()


class MemberUserOut(PersonOut):
    username = serializers.CharField(help_text="What commands call this person by.")


class MemberOut(Out):
    user = MemberUserOut()
    role = serializers.ChoiceField(choices=Role.choices)
    pool = serializers.ChoiceField(choices=Pool.choices)
    weight = serializers.FloatField(help_text="How much each of this person's rankings counts in training")


class LinkOut(Out):
    sign_in_link = serializers.CharField()


class InvitedOut(Out):
    member = MemberOut()
    sign_in_link = serializers.CharField(
        allow_null=True, help_text="Shown once; null where you may not make one."
    )


class CountsOut(Out):
    prompts = serializers.IntegerField()
    open_tasks = serializers.IntegerField()
    rankings = serializers.IntegerField()
    demonstrations = serializers.IntegerField()
    versions = serializers.IntegerField()


class RoundRefOut(Out):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    state = serializers.CharField()


class PolicyRefOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()


class ProjectOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    is_demo = serializers.BooleanField()
    role = serializers.ChoiceField(choices=Role.choices)
    counts = CountsOut()
    round = RoundRefOut(allow_null=True)
    current_policy = PolicyRefOut(allow_null=True)


class ProjectDetailOut(ProjectOut):
    guidelines = serializers.CharField()
    guideline_version = serializers.IntegerField()


class TokenOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)))
    project = ProjectRefOut(allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class NewTokenOut(TokenOut):
    token = serializers.CharField(help_text="Shown once; it is stored nowhere.")


class ActorOut(Out):
    id = serializers.UUIDField()
    display_name = serializers.CharField()


class EventOut(Out):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    subject = serializers.CharField()
    actor = ActorOut(allow_null=True)
    data = serializers.JSONField()  # type: ignore[assignment]  # a field of the event, not the serializer's own
