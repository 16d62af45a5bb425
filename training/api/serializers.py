"""Shapes that go out. Every body is made by a selector; these check and describe it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from inference.api.serializers import VersionRefOut
from labeling.api.outputs import MessageSerializer as MessageOut
from labeling.models import TaskKind
from training.models import RunKind, SnapshotKind
from training.states import AttemptState, RoundState, RunState

Fields = serializers.Serializer[Any]
ACTIONS = ("advance", "cancel", "promote", "drop", "retry", "simulate")
WAITS = (
    "",
    "starting",
    "demonstrations",
    "run",
    "sampler",
    "rankings",
    "confirmation",
    "going_on",
    "comparisons",
    "decision",
)
STEP_STATES = ("done", "active", "waiting", "skipped", "failed", "cancelled")


def named(name: str) -> Callable[[type[Fields]], type[Fields]]:
    """The component's name in the schema."""
    decorate: Callable[[type[Fields]], type[Fields]] = extend_schema_serializer(component_name=name)
    return decorate


class Out(serializers.Serializer[Any]):
    """Base of what goes out."""


@named("MissingPart")
class MissingOut(Out):
    code = serializers.CharField()
    message = serializers.CharField()
    remedy = serializers.CharField()
    blocking = serializers.BooleanField(help_text="The round cannot be opened without it")


@named("StepEstimate")
class StepEstimateOut(Out):
    step = serializers.CharField()
    seconds = serializers.FloatField(
        allow_null=True, help_text="Machine time; null: people decide how long it takes"
    )
    basis = serializers.CharField()


@named("Estimate")
class EstimateOut(Out):
    steps = StepEstimateOut(many=True)
    total_seconds = serializers.FloatField()


@named("RecipeEstimate")
class RecipeEstimateOut(Out):
    estimate = EstimateOut()
    missing = MissingOut(many=True)


@named("RecipeField")
class RecipeFieldOut(Out):
    name = serializers.CharField()
    type = serializers.CharField()
    nullable = serializers.BooleanField()
    default = serializers.JSONField(allow_null=True)
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)
    unit = serializers.CharField()
    help = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]  # DRF takes it away
        help_text="Where the default comes from: papers, and `ours` with the reason"
    )


@named("RecipeFields")
class RecipeFieldsOut(Out):
    recipe = RecipeFieldOut(many=True)
    sft = RecipeFieldOut(many=True)
    reward = RecipeFieldOut(many=True)
    ppo = RecipeFieldOut(many=True)
    rloo = RecipeFieldOut(many=True)
    dpo = RecipeFieldOut(many=True)


@named("PresetValue")
class PresetValueOut(Out):
    name = serializers.CharField()
    value = serializers.JSONField()
    source = serializers.CharField()  # type: ignore[assignment]  # DRF takes it away


@named("Preset")
class PresetOut(Out):
    sft = PresetValueOut(many=True)
    reward = PresetValueOut(many=True)
    ppo = PresetValueOut(many=True)
    rloo = PresetValueOut(many=True)
    dpo = PresetValueOut(many=True)


@named("RecipeDefaults")
class RecipeDefaultsOut(RecipeEstimateOut):
    recipe = serializers.DictField()
    fields_ = RecipeFieldsOut()
    presets = serializers.DictField(child=PresetOut(), help_text="What each preset sets, by stage")

    def get_fields(self) -> dict[str, Any]:
        """`fields` is a name of DRF's own, so it cannot be declared like the others."""
        found = super().get_fields()
        return {("fields" if name == "fields_" else name): field for name, field in found.items()}


@named("RoundRef")
class RoundRefOut(Out):
    id = serializers.UUIDField()
    number = serializers.IntegerField()


@named("SnapshotRef")
class SnapshotRefOut(Out):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=SnapshotKind.choices)
    counts = serializers.DictField()


@named("Attempt")
class AttemptOut(Out):
    fence = serializers.IntegerField()
    state = serializers.ChoiceField(choices=AttemptState.choices)
    reason = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    resumed_from = serializers.CharField()


@named("RunError")
class RunErrorOut(Out):
    code = serializers.CharField()
    message = serializers.CharField()
    remedy = serializers.CharField()


@named("RunRef")
class RunRefOut(Out):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=RunKind.choices)
    state = serializers.ChoiceField(choices=RunState.choices)
    progress = serializers.FloatField(help_text="0 to 1")
    eta_seconds = serializers.FloatField(allow_null=True)
    stopped = serializers.CharField(
        allow_blank=True,
        help_text="The setting that ended the run early, with what was good until then; blank: none",
    )


@named("Run")
class RunOut(RunRefOut):
    round = RoundRefOut(allow_null=True)
    config = serializers.DictField()
    seed = serializers.IntegerField()
    step = serializers.IntegerField()
    ahead = serializers.IntegerField(
        allow_null=True,
        help_text="While it is queued: runs of all projects that come before it or are running",
    )
    error = RunErrorOut(allow_null=True)
    result = serializers.DictField()
    produced = VersionRefOut(allow_null=True)
    produced_raw = VersionRefOut(
        allow_null=True, help_text="The policy itself, where `produced` is its moving average"
    )
    model = VersionRefOut()
    reference = VersionRefOut(allow_null=True)
    reward = VersionRefOut(allow_null=True)
    judge = VersionRefOut(
        allow_null=True, help_text="A reward model that the policy is not trained on but held against"
    )
    snapshot = SnapshotRefOut(allow_null=True)
    cancel_requested = serializers.BooleanField()
    attempts = AttemptOut(many=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


@named("MetricRow")
class MetricRowOut(Out):
    step = serializers.IntegerField()
    values = serializers.DictField(child=serializers.FloatField(allow_null=True))


@named("MetricMeaning")
class MetricMeaningOut(Out):
    unit = serializers.CharField()
    help = serializers.CharField()
    healthy = serializers.CharField()


@named("Metrics")
class MetricsOut(Out):
    glossary = serializers.DictField(child=MetricMeaningOut())
    rows = MetricRowOut(many=True)


@named("RunSample")
class SampleOut(Out):
    step = serializers.IntegerField()
    prompt = MessageOut(many=True)
    text = serializers.CharField(trim_whitespace=False)
    reward = serializers.FloatField(allow_null=True)
    kl = serializers.FloatField(allow_null=True)


@named("JobModel")
class JobModelOut(Out):
    id = serializers.UUIDField()
    name = serializers.CharField()


@named("StepJob")
class JobOut(Out):
    id = serializers.UUIDField()
    model = JobModelOut(allow_null=True)
    state = serializers.CharField()
    finished = serializers.IntegerField()
    wanted = serializers.IntegerField()
    tokens_per_second = serializers.FloatField(allow_null=True)


@named("BatchRef")
class BatchRefOut(Out):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=TaskKind.choices)


@named("HeldTasks")
class HeldOut(Out):
    tasks = serializers.IntegerField(help_text="Tasks that people have before them now")
    until = serializers.DateTimeField(help_text="When the last of their leases ends, unless they work on")


@named("RoundStep")
class RoundStepOut(Out):
    step = serializers.CharField()
    state = serializers.ChoiceField(choices=STEP_STATES)
    done = serializers.IntegerField()
    wanted = serializers.IntegerField()
    unit = serializers.ChoiceField(choices=("answers", "completions", "percent"))
    run = RunRefOut(allow_null=True)
    job = JobOut(allow_null=True)
    batch = BatchRefOut(allow_null=True)
    held = HeldOut(allow_null=True, help_text="Null where nobody holds a task, or the step asks nobody now")
    started_at = serializers.CharField(allow_null=True)
    ended_at = serializers.CharField(allow_null=True)


@named("TwoNumbers")
class TwoNumbersOut(Out):
    candidate = serializers.FloatField(allow_null=True)
    current = serializers.FloatField(allow_null=True)


@named("ComparisonCounts")
class ComparisonsOut(Out):
    candidate_wins = serializers.IntegerField()
    current_wins = serializers.IntegerField()
    ties = serializers.IntegerField()
    wanted = serializers.IntegerField()


@named("Evaluation")
class EvaluationOut(Out):
    prompts = serializers.IntegerField()
    not_measured = serializers.CharField(
        allow_blank=True, help_text="Why there are no numbers; blank where there are"
    )
    reward_mean = TwoNumbersOut()
    reward_sd = TwoNumbersOut()
    reward_win_rate = serializers.FloatField(allow_null=True)
    kl_mean = serializers.FloatField(allow_null=True, help_text="Nats per response, candidate from reference")
    kl_budget = serializers.FloatField(allow_null=True)
    length_mean = TwoNumbersOut(help_text="Tokens")
    comparisons = ComparisonsOut()


@named("Round")
class RoundOut(Out):
    id = serializers.UUIDField()
    project = serializers.UUIDField()
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=RoundState.choices)
    automatic = serializers.BooleanField()
    step_done = serializers.BooleanField()
    waiting_for = serializers.ChoiceField(choices=WAITS, allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    reason_code = serializers.CharField(allow_blank=True)
    failed_at_step = serializers.CharField(allow_blank=True)
    recipe = serializers.DictField()
    is_synthetic = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    opponent = VersionRefOut()
    sft = VersionRefOut(allow_null=True)
    reward = VersionRefOut(allow_null=True)
    candidate = VersionRefOut(allow_null=True)
    steps = RoundStepOut(many=True)
    evaluation = EvaluationOut(allow_null=True)
    actions = serializers.ListField(child=serializers.ChoiceField(choices=ACTIONS))


@named("PairSide")
class PairSideOut(Out):
    text = serializers.CharField(trim_whitespace=False)
    reward = serializers.FloatField(allow_null=True)


@named("PairPrompt")
class PairPromptOut(Out):
    messages = MessageOut(many=True)


@named("EvaluationPair")
class PairOut(Out):
    prompt = PairPromptOut()
    candidate = PairSideOut()
    current = PairSideOut()
    kl = serializers.FloatField(allow_null=True, help_text="Nats of the candidate's response")


@named("Snapshot")
class SnapshotOut(SnapshotRefOut):
    digest = serializers.CharField()
    as_of = serializers.DateTimeField()
    is_synthetic = serializers.BooleanField()
    formats = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
