"""Steps in which a training worker works: SFT, reward model, policy."""

from __future__ import annotations

from typing import NamedTuple

from inference.models import ModelVersion
from labeling.models import Split
from training.models import ROLLOUT_RUNS, Evaluation, Round, Run, RunKind, Snapshot, SnapshotKind
from training.recipe import Recipe
from training.selectors.chain import base_of, earlier_reward, judge_of
from training.selectors.records import has_heldout_rankings
from training.services.runs import queue_run, retry_run
from training.services.snapshots import freeze
from training.services.steps.base import Progress, Step, StepFailed, recipe_of, require_run, run_of, seed_of
from training.services.steps.sampling import teaches
from training.states import RoundState, RunState


class Frozen(NamedTuple):
    """What the run reads."""

    data: Snapshot
    demonstrations: Snapshot | None = None
    heldout_labelers: Snapshot | None = None  # only measured on


class TrainingStep(Step):
    """Freezes a snapshot, queues one run, and takes over what it made."""

    kind: str
    data: str  # kind of snapshot that it learns from
    name: str
    field: str  # of the round, where the new version goes

    def run_of(self, round_: Round) -> Run | None:
        """The round's newest run of this step."""
        return run_of(round_, self.kind)

    def data_of(self, round_: Round) -> str:
        """Kind of snapshot that the run learns from."""
        return self.data

    def prepare(self, round_: Round) -> Frozen | None:
        """Freeze the data, unless the run is there already. Raises StepFailed where there is nothing to learn from."""
        if self.run_of(round_) is not None:
            return None
        kind = self.data_of(round_)
        data = freeze(project=round_.project, kind=kind)
        if not data.counts["rows"][Split.TRAIN]:
            raise StepFailed(
                "nothing_to_train_on",
                f"{self.name}: there is nothing of kind {kind} in the training split. Collect some, then retry.",
            )
        return Frozen(data)

    def start(self, round_: Round, prepared: Frozen | None) -> None:
        """Queue the run once; when it has succeeded, note what it made and look at the thresholds."""
        run = self.run_of(round_)
        if run is None:
            if prepared is None:
                return
            run = self.queue(round_, recipe_of(round_), prepared)
            round_.is_synthetic |= prepared.data.is_synthetic
            round_.save(update_fields=["is_synthetic"])
        if require_run(run, self.name):
            self.check(recipe_of(round_), run)
            setattr(round_, self.field, run.produced)
            round_.save(update_fields=[self.field])

    def queue(self, round_: Round, recipe: Recipe, frozen: Frozen) -> Run:
        """Make the run."""
        raise NotImplementedError

    def check(self, recipe: Recipe, run: Run) -> None:
        """Raise StepFailed where the result is worse than the recipe allows."""

    def is_done(self, round_: Round) -> bool:
        """The round has what the run made. That the run has succeeded is not enough: it may have done so since `start` looked."""
        run = self.run_of(round_)
        return run is not None and run.produced is not None and getattr(round_, self.field) == run.produced

    def progress(self, round_: Round) -> Progress:
        """Percent of the run."""
        run = self.run_of(round_)
        return Progress(round(100 * run.progress), 100) if run else Progress(0, 100)

    def again(self, round_: Round) -> None:
        """A run that ended badly goes on from its checkpoint; one whose result was refused is done over by another seed."""
        run = self.run_of(round_)
        if run is None or run.state in (RunState.QUEUED, RunState.RUNNING):
            return
        if run.state == RunState.SUCCEEDED:
            setattr(round_, self.field, None)
            round_.save(update_fields=[self.field])
            done_over(run)
        else:
            retry_run(run=run, actor=None)


def done_over(run: Run) -> Run:
    """The same run with the next seed."""
    return queue_run(
        project=run.project,
        round=run.round,
        kind=run.kind,
        config=run.config,
        model=run.model,
        reference=run.reference,
        reward=run.reward,
        judge=run.judge,
        snapshot=run.snapshot,
        demonstrations=run.demonstrations,
        heldout_labelers=run.heldout_labelers,
        seed=run.seed + 1,
    )


class TrainingSFT(TrainingStep):
    """Supervised fine-tuning of the chain's base model on all demonstrations so far."""

    kind, data, name, field = RunKind.SFT, SnapshotKind.SFT, "Supervised fine-tuning", "sft"

    def queue(self, round_: Round, recipe: Recipe, frozen: Frozen) -> Run:
        """From the base, so that a second SFT never learns on top of a first."""
        config, base = recipe.config("sft"), base_of(round_.opponent)
        reward = earlier_reward(round_.project, base) if config["select"] == "reward" else None
        return queue_run(
            project=round_.project,
            round=round_,
            kind=self.kind,
            config=config,
            model=base,
            reward=reward,
            snapshot=frozen.data,
            seed=seed_of(round_, self.kind),
        )


class TrainingReward(TrainingStep):
    """The reward model, trained anew from the chain's SFT on all accepted rankings so far."""

    kind, data, name, field = RunKind.REWARD, SnapshotKind.RANKINGS, "The reward model", "reward"

    def prepare(self, round_: Round) -> Frozen | None:
        """The rankings, the demonstrations whose mean score becomes zero (InstructGPT 3.5), and what to measure on beside."""
        frozen = super().prepare(round_)
        if frozen is None:
            return None
        demonstrations = freeze(project=round_.project, kind=SnapshotKind.SFT)
        # After the rankings: whoever is among their labelers is seen here.
        measuring = has_heldout_rankings(round_.project)
        return Frozen(
            frozen.data,
            demonstrations if demonstrations.counts["rows"][Split.TRAIN] else None,
            freeze(project=round_.project, kind=SnapshotKind.MEASURING) if measuring else None,
        )

    def queue(self, round_: Round, recipe: Recipe, frozen: Frozen) -> Run:
        """From the chain's SFT, not from an earlier reward model."""
        return queue_run(
            project=round_.project,
            round=round_,
            kind=self.kind,
            config=recipe.config("reward"),
            model=sft_of(round_),
            snapshot=frozen.data,
            demonstrations=frozen.demonstrations,
            heldout_labelers=frozen.heldout_labelers,
            seed=seed_of(round_, self.kind),
        )

    def check(self, recipe: Recipe, run: Run) -> None:
        """The share of validation pairs that it orders as people did, where it could be measured."""
        accuracy = metric_of(run, "reward/valid_accuracy")
        if (
            recipe.min_reward_accuracy is not None
            and accuracy is not None
            and accuracy < recipe.min_reward_accuracy
        ):
            raise StepFailed(
                "reward_accuracy_low",
                f"The reward model orders {accuracy:.1%} of the validation pairs as people did; this round asks for"
                f" {recipe.min_reward_accuracy:.1%} (min_reward_accuracy). Collect more rankings, or retry with another seed.",
            )


class TrainingPolicy(TrainingStep):
    """PPO or RLOO against the round's reward model, or DPO from its rankings, near the chain's SFT."""

    name, field = "Policy training", "candidate"

    def run_of(self, round_: Round) -> Run | None:
        """Of the algorithm that the recipe names."""
        return run_of(round_, recipe_of(round_).policy_algorithm)

    def data_of(self, round_: Round) -> str:
        """PPO and RLOO write their own answers to prompts; DPO learns from answers that were ranked."""
        samples = recipe_of(round_).policy_algorithm in ROLLOUT_RUNS
        return SnapshotKind.PROMPTS if samples else SnapshotKind.RANKINGS

    def prepare(self, round_: Round) -> Frozen | None:
        """Prompts or, for DPO, rankings; and where `ptx_coef` asks for them the demonstrations that must not be forgotten."""
        frozen = super().prepare(round_)
        if frozen is None or not recipe_of(round_).policy_config.get("ptx_coef"):
            return frozen
        demonstrations = freeze(project=round_.project, kind=SnapshotKind.SFT)
        if not demonstrations.counts["rows"][Split.TRAIN]:
            raise StepFailed(
                "nothing_to_mix_in",
                f"{self.name}: ptx_coef mixes demonstrations in, and there are none. Collect some, or open a round without ptx_coef.",
            )
        return Frozen(frozen.data, demonstrations)

    def queue(self, round_: Round, recipe: Recipe, frozen: Frozen) -> Run:
        """From the model whose answers were ranked."""
        if round_.reward is None:
            raise StepFailed(
                "no_reward_model",
                "Policy training needs the round's reward model, which is not there. Open a new round.",
            )
        samples = recipe.policy_algorithm in ROLLOUT_RUNS
        return queue_run(
            project=round_.project,
            round=round_,
            kind=recipe.policy_algorithm,
            config=recipe.policy_config,
            model=teaches(round_),
            reference=sft_of(round_),
            reward=round_.reward if samples else None,
            judge=judge_of(round_.project, recipe) if samples else None,
            snapshot=frozen.data,
            demonstrations=frozen.demonstrations,
            seed=seed_of(round_, recipe.policy_algorithm),
        )

    def check(self, recipe: Recipe, run: Run) -> None:
        """The distance from the reference that the run itself measured."""
        check_kl(recipe, metric_of(run, "dpo/kl" if run.kind == RunKind.DPO else f"{run.kind}/final_kl"))

    def again(self, round_: Round) -> None:
        """A refused policy takes its measurements along."""
        Evaluation.objects.filter(round=round_).delete()
        round_.candidate_job = round_.opponent_job = None
        round_.save(update_fields=["candidate_job", "opponent_job"])
        super().again(round_)


def check_kl(recipe: Recipe, kl: float | None) -> None:
    """Raise StepFailed, to be done over from policy training on, where the policy went farther than the budget."""
    if recipe.kl_budget is not None and kl is not None and kl > recipe.kl_budget:
        raise StepFailed(
            "kl_budget_exceeded",
            f"The policy is {kl:.2f} nats per response from the reference; this round allows {recipe.kl_budget:g}"
            " (kl_budget). Retry with another seed, or open a round with a higher kl_coef (beta for DPO).",
            step=RoundState.TRAINING_POLICY,
        )


def sft_of(round_: Round) -> ModelVersion:
    """The chain's SFT model. Raises StepFailed if the round has none."""
    if round_.sft is None:
        raise StepFailed("no_sft_model", "The round has no SFT model to start from. Open a new round.")
    return round_.sft


def metric_of(run: Run, name: str) -> float | None:
    """A final number of the run."""
    value = (run.result.get("metrics") or {}).get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
