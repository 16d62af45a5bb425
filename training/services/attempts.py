"""What the supervisor of a run may write. Every write is guarded by its fence: whoever was replaced changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.events import record
from common.errors import DomainError
from common.state_machine import move_rows
from inference.models import ModelVersion, VersionKind
from inference.services import register_version, store_version
from inference.services.registry import VersionNameTaken
from training.models import Attempt, Metric, Run, RunKind, Score
from training.services.runs import MAX_TRIES, announce, give_back
from training.states import ATTEMPT_MOVES, RUN_MOVES, AttemptState, RunState

PRODUCES = {
    RunKind.SFT: VersionKind.SFT,
    RunKind.REWARD: VersionKind.REWARD,
    RunKind.PPO: VersionKind.POLICY,
    RunKind.RLOO: VersionKind.POLICY,
    RunKind.DPO: VersionKind.POLICY,
}
CLAIM = """
    UPDATE training_run
       SET state = 'running', fence = fence + 1, tries = tries + 1, heartbeat_at = clock_timestamp(),
           lease_until = clock_timestamp() + make_interval(secs => %s), started_at = COALESCE(started_at, clock_timestamp())
     WHERE id = %s AND cancel_requested_at IS NULL
       AND (state = 'queued' OR (state = 'running' AND lease_until < clock_timestamp() AND tries < %s))
 RETURNING fence
"""


class Fenced(DomainError):
    """Another supervisor has taken the run over, or it was ended: this one's writes are refused."""

    code = "fenced"
    message = "This attempt was replaced or ended. Nothing was written."


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One line of scores.jsonl."""

    completion_id: UUID
    reward: float
    kl: float | None
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """A model folder with its own final numbers."""

    folder: Path
    metrics: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a child left behind: its result.json, and the folder of the model or the scores.

    `raw` is the policy itself, where `model` is its moving average.
    """

    result: Mapping[str, Any]
    model: Path | None = None
    raw: Published | None = None
    scores: Sequence[ScoreRow] = field(default_factory=tuple)

    def published(self) -> dict[str, Published]:
        """The folders that become versions, by the run's field."""
        found = {}
        if self.model is not None:
            found["produced"] = Published(folder=self.model, metrics=self.result.get("metrics") or {})
        if self.raw is not None:
            found["produced_raw"] = self.raw
        return found


@transaction.atomic
def claim_run(run_id: UUID, *, host: str = "") -> int | None:
    """Take a queued run, or one whose lease is over; the new fence, or None if there is nothing to take."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [settings.PRECEPTOR_LEASE_SECONDS, run_id, MAX_TRIES])
        row = cursor.fetchone()
    if row is None:
        return None
    fence = int(row[0])
    before = Attempt.objects.filter(run_id=run_id, fence__lt=fence)
    move_rows(
        before,
        AttemptState.LOST,
        ATTEMPT_MOVES,
        reason="Its lease ended and another worker took over.",
        ended_at=Now(),
    )
    Attempt.objects.create(run_id=run_id, fence=fence, host=host[:120])
    run = Run.objects.get(pk=run_id)
    record("run.claimed", subject=run, fence=fence, tries=run.tries)
    announce(run)
    return fence


def heartbeat(*, run_id: UUID, fence: int) -> bool:
    """Renew the lease. False: the run is not this supervisor's any more."""
    lease_until = Now() + timedelta(seconds=settings.PRECEPTOR_LEASE_SECONDS)
    return bool(_mine(run_id, fence).update(heartbeat_at=Now(), lease_until=lease_until))


def cancel_wanted(*, run_id: UUID, fence: int) -> bool:
    """Whether somebody asked to stop. Raises Fenced."""
    row = _mine(run_id, fence).values_list("cancel_requested_at").first()
    if row is None:
        raise Fenced
    return row[0] is not None


@transaction.atomic
def begin_attempt(*, run_id: UUID, fence: int, resumed_from: str, step: int, pid: int | None) -> None:
    """Note where the attempt goes on from, and drop the rows after that step: they are made again. Raises Fenced."""
    before = Run.objects.values_list("step", "progress").get(pk=run_id)
    # As far as that step is, and no longer as far as the attempt before had come.
    progress = before[1] * min(step / before[0], 1.0) if before[0] else 0.0
    _write(run_id, fence, step=step, progress=progress, eta_seconds=None)
    Metric.objects.filter(run_id=run_id, step__gt=step).delete()
    Attempt.objects.filter(run_id=run_id, fence=fence).update(resumed_from=resumed_from, pid=pid)


@transaction.atomic
def record_metrics(
    *, run_id: UUID, fence: int, rows: Sequence[Mapping[str, Any]], checkpoint: str | None = None
) -> None:
    """Store rows of metrics.jsonl, and the newest checkpoint as "attempt-2/step-40". Raises Fenced."""
    changes: dict[str, Any] = {} if checkpoint is None else {"checkpoint": checkpoint}
    by_step = {int(row["step"]): dict(row) for row in rows}
    if by_step:
        last = by_step[max(by_step)]
        changes |= {
            "step": last["step"],
            "progress": last.get("progress") or 0.0,
            "eta_seconds": last.get("eta_s"),
        }
    # The update holds the row's lock, so no successor can claim the run before these rows are committed.
    _write(run_id, fence, **(changes or {"heartbeat_at": Now()}))
    made = [
        Metric(run_id=run_id, step=step, fence=fence, values={k: v for k, v in row.items() if k != "step"})
        for step, row in by_step.items()
    ]
    Metric.objects.bulk_create(
        made,
        update_conflicts=True,
        unique_fields=["run", "step"],
        update_fields=["fence", "values", "at"],
        batch_size=500,
    )


def finish_run(*, run_id: UUID, fence: int, outcome: Outcome) -> Run:
    """Register what the run made and end it, in one transaction. Raises Fenced (also when a cancel came first)."""
    run = Run.objects.select_related(
        "project", "round", "model", "reference", "reward", "judge", "snapshot"
    ).get(pk=run_id)
    # Copied ahead: gigabytes, and in `_finish` a transaction is open.
    made = {role: (one, store_version(one.folder)) for role, one in outcome.published().items()}
    name, root = "", _root_name(run.model)
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        name = f"{root}-{PRODUCES.get(RunKind(run.kind), run.kind)}-{_place(run)}{suffix}"
        try:
            return _finish(run, fence, outcome, made, name)
        except VersionNameTaken:
            continue
    raise VersionNameTaken(f"{name}: no free name is left for what this run made.")


@transaction.atomic
def fail_run(*, run_id: UUID, fence: int, code: str, message: str, remedy: str) -> None:
    """End the run with a reason that people see. Raises Fenced."""
    error = {"code": code[:80], "message": message[:2000], "remedy": remedy[:1000]}
    _end(_mine(run_id, fence), RunState.FAILED, error=error)
    _end_attempt(run_id, fence, AttemptState.FAILED, f"{code}: {message}"[:2000])
    _told(run_id, "run.failed", fence=fence, code=code[:80])


@transaction.atomic
def confirm_cancelled(*, run_id: UUID, fence: int) -> None:
    """The child has ended because somebody asked for it. Raises Fenced."""
    _end(_mine(run_id, fence), RunState.CANCELLED)
    _end_attempt(run_id, fence, AttemptState.CANCELLED, "Cancelled.")
    _told(run_id, "run.cancelled", fence=fence)


@transaction.atomic
def release_run(*, run_id: UUID, fence: int, code: str, message: str, counts: bool = True) -> None:
    """Queue the run again, to go on from its checkpoint; after MAX_TRIES it fails. Raises Fenced.

    `counts=False`: the worker was asked to stop, which is nobody's fault.
    """
    run = Run.objects.select_for_update().get(pk=run_id)
    if run.cancel_requested_at is not None:
        # Somebody asked for the end after the supervisor's last look.
        confirm_cancelled(run_id=run_id, fence=fence)
        return
    if not give_back(run, guard=_mine(run_id, fence), code=code, message=message, counts=counts):
        raise Fenced
    _end_attempt(run_id, fence, AttemptState.LOST, message)
    _told(run_id, "run.released", fence=fence, code=code)


def note_fenced(*, run_id: UUID, fence: int) -> None:
    """The supervisor found that it was replaced: it says so in its own attempt, and nowhere else."""
    _end_attempt(run_id, fence, AttemptState.FENCED, "A successor had started; its writes were refused.")


@transaction.atomic
def _finish(
    run: Run, fence: int, outcome: Outcome, stored: Mapping[str, tuple[Published, str]], name: str
) -> Run:
    names = {"produced": name, "produced_raw": f"{name}-raw"}
    made = {role: _register(run, one, digest, names[role]) for role, (one, digest) in stored.items()}
    held = _mine(run.pk, fence).filter(cancel_requested_at__isnull=True)
    changes = {"result": dict(outcome.result), "progress": 1.0, "eta_seconds": None, **made}
    _end(held, RunState.SUCCEEDED, **changes)
    Score.objects.bulk_create(
        (
            Score(run=run, completion_id=row.completion_id, reward=row.reward, kl=row.kl, tokens=row.tokens)
            for row in outcome.scores
        ),
        batch_size=500,
    )
    _end_attempt(run.pk, fence, AttemptState.SUCCEEDED, "")
    _told(run.pk, "run.succeeded", fence=fence, version=str(made["produced"].pk) if made else None)
    run.refresh_from_db()
    return run


def _register(run: Run, published: Published, digest: str, name: str) -> ModelVersion:
    """The version, whose folder is in the store already."""
    synthetic = any(version.is_synthetic for version in run.sources.values())
    return register_version(
        project=run.project,
        kind=PRODUCES[RunKind(run.kind)],
        folder=published.folder,
        digest=digest,
        name=name,
        parents=run.sources,
        metrics=published.metrics,
        is_synthetic=synthetic or bool(run.snapshot and run.snapshot.is_synthetic),
    )


def _mine(run_id: UUID, fence: int) -> QuerySet[Run]:
    return Run.objects.filter(pk=run_id, fence=fence, state=RunState.RUNNING)


def _write(run_id: UUID, fence: int, **changes: Any) -> None:
    if not _mine(run_id, fence).update(**changes):
        raise Fenced


def _end(held: QuerySet[Run], state: RunState, **changes: Any) -> None:
    if not move_rows(held, state, RUN_MOVES, ended_at=Now(), lease_until=None, **changes):
        raise Fenced


def _end_attempt(run_id: UUID, fence: int, state: AttemptState, reason: str) -> None:
    mine = Attempt.objects.filter(run_id=run_id, fence=fence)
    move_rows(mine, state, ATTEMPT_MOVES, reason=reason, ended_at=Now())


def _told(run_id: UUID, kind: str, **data: Any) -> None:
    run = Run.objects.get(pk=run_id)
    record(kind, subject=run, **data)
    announce(run)


def _root_name(version: ModelVersion) -> str:
    """The name of the base model at the root: what people call the whole chain."""
    for _ in range(100):
        link = version.parent_links.filter(role="model").select_related("parent").first()
        if link is None:
            break
        version = link.parent
    return version.name[:80]


def _place(run: Run) -> str:
    return f"r{run.round.number}" if run.round else str(run.pk)[:8]
