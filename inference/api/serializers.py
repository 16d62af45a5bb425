"""Shapes that go out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inference.models import VersionKind
from inference.states import Stage


class Out(serializers.Serializer[Any]):
    """Base of what goes out."""


class BaseModelOut(Out):
    name = serializers.CharField()
    parameters = serializers.IntegerField(help_text="Number of weights")
    context_tokens = serializers.IntegerField()
    card = serializers.CharField()


class VersionRefOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=VersionKind.choices)
    stage = serializers.ChoiceField(choices=Stage.choices)


class ParentOut(Out):
    role = serializers.CharField()
    id = serializers.UUIDField()
    name = serializers.CharField()


class VersionOut(VersionRefOut):
    digest = serializers.CharField()
    parameters = serializers.IntegerField(help_text="Number of weights")
    context_tokens = serializers.IntegerField()
    metrics = serializers.DictField(help_text="Final numbers of the run that made it")
    card = serializers.CharField(help_text="Markdown")
    is_synthetic = serializers.BooleanField(help_text="Learned from simulated labelers")
    created_at = serializers.DateTimeField()
    parents = ParentOut(many=True)
    made_by = serializers.UUIDField(allow_null=True, help_text="The run")
    round = serializers.IntegerField(allow_null=True, help_text="Number of the round")


class NodeOut(Out):
    id = serializers.CharField()
    type = serializers.ChoiceField(choices=["version", "run", "snapshot", "labelers"])
    label = serializers.CharField()  # type: ignore[assignment]  # a field of the node, not the serializer's own
    kind = serializers.CharField(required=False)
    stage = serializers.CharField(required=False)
    state = serializers.CharField(required=False)
    count = serializers.IntegerField(required=False)


class EdgeOut(Out):
    """`to` was made from, or by, `from`."""

    to = serializers.CharField()
    role = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python, so it cannot be declared like the others."""
        return {"from": serializers.CharField(), **super().get_fields()}


class LineageOut(Out):
    nodes = NodeOut(many=True)
    edges = EdgeOut(many=True)
