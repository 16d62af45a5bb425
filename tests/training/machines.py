"""What sampler and trainer would leave in the database, written at once: tests of rounds need no torch for it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.utils.timezone import now

from accounts.models import Project, User
from inference.models import Completion, SamplingJob
from inference.selectors import completions_of
from tests.training.factories import answer_all
from training.models import Round, Run, RunKind
from training.services import rounds
from training.services.attempts import Outcome, ScoreRow, claim_run, fail_run, finish_run
from training.services.reconcile import tick
from training.states import ENDED


def sampled(job: SamplingJob, *, say: str = "Dear friend") -> None:
    """Every request has its completions, all different, and the job is done."""
    made = [
        Completion(
            version=job.version,
            request=request,
            candidate=number,
            text=f"{say}, {job.version.name} writes letter {number} of {request.key[:6]}.",
            token_ids=[5, 6, 7],
            logprobs=[-0.5, -0.25, -0.125],
            seed=number,
            params=job.params,
            finish_reason="stop",
        )
        for request in job.requests.all()
        for number in range(request.n)
    ]
    Completion.objects.bulk_create(made)
    SamplingJob.objects.filter(pk=job.pk).update(
        state="done", finished=len(made), started_at=now(), ended_at=now()
    )


def trained(run: Run, weights: Path, **metrics: float) -> Run:
    """The run has succeeded; its model is `weights` with a card of its own."""
    fence = claim_run(run.pk)
    assert fence is not None
    result: dict[str, Any] = {"kind": run.kind, "steps": 4, "metrics": metrics}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        shutil.copytree(weights, folder)
        (folder / "README.md").write_text(f"made by {run.pk}")
        return finish_run(run_id=run.pk, fence=fence, outcome=Outcome(result=result, model=folder))


def scored(run: Run, *, kl: float = 1.5) -> Run:
    """The score run has succeeded: the candidate's answers are worth 1, the current policy's 0."""
    fence = claim_run(run.pk)
    assert fence is not None
    assert run.round is not None
    rows = [
        ScoreRow(completion_id=one.pk, reward=worth, kl=kl, tokens=3)
        for job, worth in ((run.round.candidate_job, 1.0), (run.round.opponent_job, 0.0))
        if job is not None
        for one in completions_of(job)
    ]
    outcome = Outcome(result={"kind": "score", "steps": 1, "metrics": {}}, scores=rows)
    return finish_run(run_id=run.pk, fence=fence, outcome=outcome)


def failed(run: Run) -> None:
    """The run has failed."""
    fence = claim_run(run.pk)
    assert fence is not None
    fail_run(
        run_id=run.pk, fence=fence, code="nan_loss", message="The loss is nan.", remedy="Lower the rate."
    )


def run_of(round_: Round, kind: str) -> Run:
    """The newest run of this kind."""
    return Run.objects.filter(round=round_, kind=RunKind(kind)).latest("created_at")


def ticked(round_: Round) -> Round:
    """The round after the reconciler looked at it, twice: a second look is harmless."""
    tick(round_.pk)
    tick(round_.pk)
    return Round.objects.get(pk=round_.pk)


class Guide:
    """Plays sampler, trainer and labelers until a round is in a state."""

    def __init__(self, project: Project, weights: Path, labeler: User) -> None:
        self.project, self.weights, self.labeler = project, weights, labeler

    def to(self, round_: Round, state: str, **metrics: Any) -> Round:
        """The round in `state`, each step confirmed if need be."""
        for _ in range(40):
            round_ = ticked(round_)
            if round_.state == state or round_.state in ENDED:
                return round_
            if round_.step_done:
                round_ = rounds.advance(round=round_, actor=None)
            else:
                self.work(round_, metrics)
        raise AssertionError(f"stuck in {round_.state}")

    def work(self, round_: Round, metrics: dict[str, Any]) -> None:
        """Do what the present step waits for."""
        answer_all(self.project, self.labeler)
        for job in SamplingJob.objects.filter(state="queued"):
            sampled(job)
        for run in Run.objects.filter(round=round_, state="queued"):
            if run.kind == "score":
                scored(run, kl=metrics.get("kl", 1.5))
            else:
                trained(run, self.weights, **metrics.get(run.kind, {}))
