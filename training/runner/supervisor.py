"""Execute one run: claim it, make its folder, watch the child, and write down how it ended, once, under the fence."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection

from training.core.run_folder import clear_temporaries
from training.models import Run
from training.runner.child import Child, log_tail
from training.runner.folder import AttemptFolder, InputMissing, prepare
from training.runner.follow import Follower, newest_checkpoint
from training.runner.heartbeat import Heartbeat
from training.runner.outcome import BadOutcome, read_error, read_outcome
from training.services.attempts import (
    Fenced,
    Outcome,
    begin_attempt,
    cancel_wanted,
    claim_run,
    confirm_cancelled,
    fail_run,
    finish_run,
    note_fenced,
    record_metrics,
    release_run,
)

LOOK_EVERY = 0.5  # seconds
STOPPED = (130, 143)  # exit codes after INT and TERM: a checkpoint was written
PATIENCE = 600.0  # seconds that a finished child's result waits for a database that is away
log = structlog.get_logger("training.runner")


def execute(run_id: UUID) -> None:
    """Take the run if it is to be had, and see it through to an end. A message that came twice does nothing."""
    fence = claim_run(run_id, host=socket.gethostname())
    if fence is None:
        log.info("run_not_claimed", run=str(run_id))
        return
    with structlog.contextvars.bound_contextvars(run=str(run_id), fence=fence):
        Supervisor(run_id, fence).go()


class Supervisor:
    """One attempt."""

    def __init__(self, run_id: UUID, fence: int) -> None:
        self.run_id, self.fence = run_id, fence
        self.heart = Heartbeat(run_id, fence)
        self.worker_stops = threading.Event()
        self.cancelled = False

    def go(self) -> None:
        """The whole attempt; every way out is written down, or refused by the fence."""
        self.heart.start()
        try:
            with self._told_to_stop():
                self._attempt()
        except Fenced:
            log.warning("attempt_fenced")
            self._persist(lambda: note_fenced(run_id=self.run_id, fence=self.fence))
        except InputMissing as error:
            self._fail(error.code, error.message, error.remedy)
        except Exception as error:  # the runner's edge: a fault of ours must end the run with a reason too
            log.exception("supervisor_failed")
            remedy = "This is a fault of the program: report it with the worker's log, then retry."
            self._fail("supervisor_failed", f"{type(error).__name__} in the supervisor.", remedy)
        finally:
            self.heart.stop()

    def _attempt(self) -> None:
        run = Run.objects.select_related(
            "project",
            "round",
            "model",
            "reference",
            "reward",
            "judge",
            "snapshot",
            "demonstrations",
            "heldout_labelers",
        ).get(pk=self.run_id)
        folder = prepare(run, self.fence)
        child = Child(run.kind, folder.run_json)
        try:
            resumed, step = folder.resumed_from, folder.resumed_step
            begin_attempt(run_id=run.pk, fence=self.fence, resumed_from=resumed, step=step, pid=child.pid)
            log.info("child_started", pid=child.pid, kind=run.kind, resumed_from=resumed)
            self._watch(child, folder)
        finally:
            code = child.end()
            clear_temporaries(folder.path)
        log.info("child_ended", code=code)
        if self.heart.lost.is_set():
            raise Fenced
        self._conclude(run, folder, code)

    def _watch(self, child: Child, folder: AttemptFolder) -> None:
        follower = Follower(folder.path)
        while not child.ended():
            time.sleep(LOOK_EVERY)
            if self.heart.lost.is_set() or not self.heart.is_alive():
                self.heart.lost.set()
                return
            if self.cancelled or self.worker_stops.is_set():
                child.ask_to_stop()
            self._look(follower, folder)
        self._persist(lambda: self._store_rows(follower, folder))

    def _look(self, follower: Follower, folder: AttemptFolder) -> None:
        """Store what is new. While the database is away the rows wait in the file."""
        try:
            self.cancelled = cancel_wanted(run_id=self.run_id, fence=self.fence)
            self._store_rows(follower, folder)
        except (OperationalError, InterfaceError) as error:
            log.warning("database_away", error=type(error).__name__)
            connection.close()

    def _store_rows(self, follower: Follower, folder: AttemptFolder) -> None:
        rows, end = follower.new_rows()
        name = newest_checkpoint(folder.path)
        checkpoint = f"{folder.path.name}/{name}" if name and name != folder.known_checkpoint else None
        if rows or checkpoint:
            record_metrics(run_id=self.run_id, fence=self.fence, rows=rows, checkpoint=checkpoint)
        follower.offset, folder.known_checkpoint = end, name or folder.known_checkpoint

    def _conclude(self, run: Run, folder: AttemptFolder, code: int) -> None:
        """From how the child ended to how the run ends."""
        here: dict[str, Any] = {"run_id": run.pk, "fence": self.fence}
        reported = read_error(folder.path)
        if self.cancelled or self._persist(lambda: cancel_wanted(**here)):
            self._persist(lambda: confirm_cancelled(**here))
        elif code == 0 and (folder.path / "result.json").is_file():
            self._take_result(run, folder)
        elif reported is not None and code > 0:
            self._fail(**reported)
        elif self.worker_stops.is_set():
            message = "The worker was stopped; the run goes on from its checkpoint elsewhere."
            self._persist(lambda: release_run(**here, code="worker_stopped", message=message, counts=False))
        elif code < 0 or code in STOPPED:
            message = f"The training process was ended by {_signal_name(-code if code < 0 else code - 128)} from outside."
            self._persist(lambda: release_run(**here, code="killed", message=message))
        else:
            lines = log_tail(folder.path, 2000).strip().splitlines() or ["-"]
            message = (
                f"The training process ended with code {code} and gave no reason. Its last line: {lines[-1]}"
            )
            self._fail("crashed", message, "Look at the run's log, then retry.")

    def _take_result(self, run: Run, folder: AttemptFolder) -> None:
        try:
            outcome = read_outcome(run, folder.path)
        except BadOutcome as error:
            self._fail(
                "bad_result", str(error), "Retry the run; if it happens again, report it with its log."
            )
        else:
            self._finish(outcome)

    def _finish(self, outcome: Outcome) -> None:
        try:
            self._persist(lambda: finish_run(run_id=self.run_id, fence=self.fence, outcome=outcome))
        except Fenced:
            # A cancel that came while the result was being registered wins; anything else was a successor.
            self._persist(lambda: confirm_cancelled(run_id=self.run_id, fence=self.fence))

    def _fail(self, code: str, message: str, remedy: str) -> None:
        with suppress(Fenced):
            self._persist(
                lambda: fail_run(
                    run_id=self.run_id, fence=self.fence, code=code, message=message, remedy=remedy
                )
            )

    def _persist(self, write: Callable[[], Any]) -> Any:
        """Do a write that must not be lost: a database that is away is waited for, with growing pauses."""
        end, pause = time.monotonic() + PATIENCE, 0.5
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError):
                connection.close()
                if time.monotonic() > end or self.heart.lost.is_set():
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 10.0)

    @contextmanager
    def _told_to_stop(self) -> Iterator[None]:
        """While a run is on, TERM to this process means: checkpoint, give the run back, then leave."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, lambda *_: self.worker_stops.set())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
            if self.worker_stops.is_set() and callable(before):
                before(signal.SIGTERM, None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
