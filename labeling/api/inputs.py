"""What clients send. Texts are taken exactly: nothing is trimmed, no number becomes text."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api import StrictSerializer
from labeling.models import SkipReason, TaskKind

MAX_ACTIVE_MS = 7 * 24 * 3600 * 1000


@extend_schema_field({"type": "string"})
class ExactText(serializers.Field):  # type: ignore[type-arg]
    """Text as it came. What can't be stored is refused by common/text.py, with the place of the wrong character."""

    default_error_messages = {"not_text": "Expected text."}  # noqa: RUF012 - DRF's way

    def to_internal_value(self, data: Any) -> str:
        """`data`, unchanged."""
        if not isinstance(data, str):
            self.fail("not_text")
        return str(data)

    def to_representation(self, value: Any) -> Any:
        """Only used for input."""
        return value


def kinds_field() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(choices=TaskKind.choices), required=False, allow_null=True, max_length=3
    )


class NextIn(StrictSerializer):
    """Which kinds of task, in the order to be tried (default: all), and whether to fetch one ahead."""

    kinds = kinds_field()
    prefetch = serializers.BooleanField(default=False)


class FollowingIn(StrictSerializer):
    """The next task that is wanted in the same response."""

    kinds = kinds_field()


class DraftIn(StrictSerializer):
    """The unsent answer, in whatever shape the client keeps it."""

    content = serializers.DictField()


class SubmitIn(StrictSerializer):
    """A demonstration (`text`) or a ranking (`tiers`, best first), by the kind of the task."""

    text = ExactText(required=False)
    tiers = serializers.ListField(
        child=serializers.ListField(child=ExactText(), max_length=9), required=False, max_length=18
    )
    likert = serializers.DictField(child=serializers.IntegerField(), required=False)
    confidence = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=5)
    note = ExactText(required=False, default="")
    active_ms = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_ACTIVE_MS)
    next = FollowingIn(required=False, allow_null=True)


class SkipIn(StrictSerializer):
    """Why the task is passed over."""

    reason = serializers.ChoiceField(choices=SkipReason.choices)
    note = ExactText(required=False, default="")
    next = FollowingIn(required=False, allow_null=True)


class HeartbeatIn(StrictSerializer):
    """`active_ms` is the total for this assignment so far, so sending it twice does no harm."""

    active_ms = serializers.IntegerField(min_value=0, max_value=MAX_ACTIVE_MS)


class MessageIn(StrictSerializer):
    """One turn."""

    role = serializers.CharField()
    content = ExactText()


class ImportIn(StrictSerializer):
    """The form of an import."""

    file = serializers.FileField()


class PromptIn(StrictSerializer):
    """One prompt: `prompt` (text) or `messages` (ending with the user's turn)."""

    prompt = ExactText(required=False)
    messages = MessageIn(many=True, required=False)
    owner_key = ExactText(required=False, default="")
    tags = serializers.ListField(child=ExactText(), required=False, default=list)
