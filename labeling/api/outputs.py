"""What clients get: these classes name the shapes for the schema; selectors make the values.

The labelers' shapes are an allow-list: no model, round, temperature, log-probability or completion id is among them.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.models import LeftOutReason, PromptSource, Split, TaskKind
from labeling.pii import KINDS
from labeling.states import AssignmentState

Out = serializers.Serializer[Any]
EMPTY_REASONS = ["no_open_tasks", "all_leased", "all_done_by_you"]


class MessageSerializer(Out):
    role = serializers.CharField()
    content = serializers.CharField()


class AssignmentPromptSerializer(Out):
    messages = MessageSerializer(many=True)
    tags = serializers.ListField(child=serializers.CharField())


class AssignmentCandidateSerializer(Out):
    id = serializers.UUIDField()
    text = serializers.CharField()
    tokens = serializers.IntegerField(allow_null=True)
    cut = serializers.BooleanField(help_text="The text ended because it met the limit of tokens.")
    duplicates = serializers.IntegerField(
        help_text="How many identical texts this one stands for, besides itself."
    )


class AssignmentDraftSerializer(Out):
    content = serializers.DictField()
    revision = serializers.IntegerField(help_text='Send it back as If-Match: "<revision>".')
    saved_at = serializers.DateTimeField()


class AssignmentProgressSerializer(Out):
    mine = serializers.IntegerField()
    done = serializers.IntegerField()
    quota = serializers.IntegerField()


class AssignmentBatchSerializer(Out):
    title = serializers.CharField()


class AnswerReceiptSerializer(Out):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=[AssignmentState.SUBMITTED.value, AssignmentState.LATE.value])
    revision = serializers.IntegerField()


class AnswerSummarySerializer(AnswerReceiptSerializer):
    submitted_at = serializers.DateTimeField()


class AnswerSerializer(AnswerSummarySerializer):
    text = serializers.CharField(allow_null=True)
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.UUIDField()), allow_null=True)
    likert = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    confidence = serializers.IntegerField(allow_null=True)
    note = serializers.CharField()


class AssignmentSerializer(Out):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=AssignmentState.choices)
    kind = serializers.ChoiceField(choices=TaskKind.choices)
    lease_until = serializers.DateTimeField()
    seconds_left = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    guideline_version = serializers.IntegerField()
    prompt = AssignmentPromptSerializer()
    max_completion_tokens = serializers.IntegerField(help_text="0: no limit known.")
    allow_ties = serializers.BooleanField()
    batch = AssignmentBatchSerializer()
    draft = AssignmentDraftSerializer(allow_null=True)
    progress = AssignmentProgressSerializer()
    candidates = AssignmentCandidateSerializer(many=True)
    answer = AnswerSerializer(allow_null=True)


class EmptySerializer(Out):
    reason = serializers.ChoiceField(choices=EMPTY_REASONS)
    retry_after_s = serializers.IntegerField(allow_null=True)
    detail = serializers.CharField()


class NextAssignmentSerializer(Out):
    assignment = AssignmentSerializer(allow_null=True)
    empty = EmptySerializer(allow_null=True)


class SubmitResultSerializer(Out):
    answer = AnswerReceiptSerializer()
    next = NextAssignmentSerializer(allow_null=True)


class SkipResultSerializer(Out):
    next = NextAssignmentSerializer(allow_null=True)


class DraftSavedSerializer(Out):
    revision = serializers.IntegerField()
    saved_at = serializers.DateTimeField()


class LeaseSerializer(Out):
    lease_until = serializers.DateTimeField()


class AssignmentProjectSerializer(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()


class AssignmentSummarySerializer(Out):
    id = serializers.UUIDField()
    project = AssignmentProjectSerializer()
    kind = serializers.ChoiceField(choices=TaskKind.choices)
    state = serializers.ChoiceField(choices=AssignmentState.choices)
    batch = AssignmentBatchSerializer()
    prompt = AssignmentPromptSerializer()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    editable = serializers.BooleanField()
    answer = AnswerSummarySerializer(allow_null=True)


class PromptTasksSerializer(Out):
    demonstration = serializers.IntegerField()
    ranking = serializers.IntegerField()


class PromptSerializer(Out):
    id = serializers.UUIDField()
    messages = MessageSerializer(many=True)
    split = serializers.ChoiceField(choices=Split.choices)
    source = serializers.ChoiceField(choices=PromptSource.choices)  # type: ignore[assignment]  # DRF takes it away
    pii = serializers.ListField(
        child=serializers.ChoiceField(choices=KINDS),
        help_text="Kinds of personal data found in it. A prompt of the training split with any is kept out of training.",
    )
    external_id = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    tasks = PromptTasksSerializer()


class AddedPromptSerializer(PromptSerializer):
    is_new = serializers.BooleanField(help_text="false: the project had it already.")
    like_prompt = serializers.UUIDField(
        allow_null=True, help_text="Another prompt of the project that begins like it: a near-duplicate."
    )


class PromptPageSerializer(Out):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PromptSerializer(many=True)


class ImportSplitsSerializer(Out):
    train = serializers.IntegerField()
    valid = serializers.IntegerField()
    heldout = serializers.IntegerField()


class ImportPiiSerializer(Out):
    """New prompts by kind of personal data."""

    email = serializers.IntegerField()
    phone = serializers.IntegerField()
    iban = serializers.IntegerField()
    card = serializers.IntegerField()
    national_id = serializers.IntegerField()
    ip_address = serializers.IntegerField()


class ImportNoteSerializer(Out):
    line = serializers.IntegerField()
    reason = serializers.ChoiceField(choices=[*LeftOutReason.values, "pii"])
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=KINDS))
    like_line = serializers.IntegerField(allow_null=True, help_text="The earlier row that it begins like.")
    like_prompt = serializers.UUIDField(allow_null=True, help_text="The prompt that it begins like.")


class ImportReportSerializer(Out):
    imported = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    near_duplicates = serializers.IntegerField(help_text="Rows left out: they begin like another prompt.")
    over_owner_cap = serializers.IntegerField(help_text="Rows left out: their owner has enough prompts.")
    demonstrations = serializers.IntegerField()
    splits = ImportSplitsSerializer()
    flagged = serializers.IntegerField(help_text="New prompts with personal data.")
    pii = ImportPiiSerializer()
    notes = ImportNoteSerializer(many=True, help_text="The first 100 rows that were left out or flagged.")


class LabelerQualitySerializer(Out):
    labeler = serializers.CharField(help_text="A name for admins, else a pseudonym.")
    pseudonym = serializers.CharField(help_text="The labeler in exports and reports of this project.")
    is_you = serializers.BooleanField()
    is_synthetic = serializers.BooleanField()
    answers = serializers.IntegerField()
    skips = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)


class AgreementSerializer(Out):
    strict = serializers.FloatField(allow_null=True)
    half = serializers.FloatField(allow_null=True)
    exact = serializers.FloatField(allow_null=True)
    tau_b = serializers.FloatField(allow_null=True)
    pairs = serializers.IntegerField()


class QualitySerializer(Out):
    by_labeler = LabelerQualitySerializer(many=True)
    agreement = AgreementSerializer(allow_null=True)
