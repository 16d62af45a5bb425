"""The sampler: a long-lived process that holds models and writes the completions of sampling jobs.

Run by the Celery worker of queue `sample` with `--pool=solo`: one process, one job at a time, its models stay loaded.
It may die at any instruction. What it has written is whole requests; a successor draws what is missing, and because a
sample hangs on (weights, prompt, settings, seed, key, candidate) alone, it draws what the dead one would have.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog
import torch
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from common.storage import StorageError, default_store
from inference.engine import requests as engine_requests
from inference.engine.chat import render_prompt
from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.folder import check_version_folder
from inference.engine.models import load_policy
from inference.likeness import keep, next_candidates
from inference.models import Completion, ModelVersion, SampleRequest
from inference.services import claims
from inference.services.claims import Claim, FenceLost

log = structlog.get_logger("inference.runner")

SLOTS = 16
BUDGET_BYTES = 4 * 2**30  # of weights kept loaded; the version in use stays in any case
LOOK_EVERY_SECONDS = 1.0  # for a cancellation


class SamplingFailed(Exception):
    """The job cannot be done; the text is for people."""


class Cancelled(Exception):
    """Somebody asked for the job to stop."""


class Stopping(Exception):
    """Somebody asked for the sampler to stop."""


class LoadedVersions:
    """Engines of the versions used last, by digest of their folders."""

    def __init__(self, budget: int = BUDGET_BYTES) -> None:
        self.budget = budget  # bytes
        self._engines: OrderedDict[str, tuple[TorchEngine, int]] = OrderedDict()

    def engine(self, version: ModelVersion) -> TorchEngine:
        """The engine of `version`, loaded after every byte was checked. Raises SamplingFailed."""
        if version.digest not in self._engines:
            engine, size = self._load(version)
            self._make_room(size)
            self._engines[version.digest] = engine, size
        self._engines.move_to_end(version.digest)
        return self._engines[version.digest][0]

    def digests(self) -> list[str]:
        """What is loaded, the longest unused first."""
        return list(self._engines)

    def forget(self, version: ModelVersion) -> None:
        """Unload, for an engine that may be left in the middle of something."""
        self._engines.pop(version.digest, None)

    def _load(self, version: ModelVersion) -> tuple[TorchEngine, int]:
        started = time.monotonic()
        try:
            default_store().verify(version.digest)
            folder = default_store().open(version.digest)
            check_version_folder(folder)
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model, tokenizer = load_policy(folder, device=device)
        except (StorageError, ValueError, OSError) as error:
            raise SamplingFailed(f"{version.name} cannot be loaded: {error}") from error
        size = sum(weight.nbytes for weight in model.parameters())
        log.info(
            "version_loaded",
            version=str(version.pk),
            bytes=size,
            seconds=round(time.monotonic() - started, 2),
        )
        return TorchEngine(model, tokenizer, slots=SLOTS), size

    def _make_room(self, size: int) -> None:
        while self._engines and size + sum(held for _, held in self._engines.values()) > self.budget:
            self._engines.popitem(last=False)


LOADED = LoadedVersions()


class Heartbeat:
    """Renews the lease from a thread of its own, because a forward pass may take longer than the lease."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{claim.job.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(claims.HEARTBEAT_SECONDS):
                try:
                    if not claims.beat(self.claim):
                        self.lost.set()
                        return
                except DatabaseError as error:
                    # Out of reach for a while is no reason to stop: the fence guards every write.
                    log.warning("heartbeat_failed", job=str(self.claim.job.pk), error=type(error).__name__)
                    connection.close()
        finally:
            connection.close()  # Each thread has its own.


def run_job(
    job_id: UUID, *, loaded: LoadedVersions = LOADED, stopping: threading.Event | None = None
) -> None:
    """Do a sampling job to its end, unless somebody else holds it or it is over: exactly n completions each.

    Once `stopping` is set, the job goes back to the queue before the engine's next step, with what was written kept.
    """
    stopping = stopping or threading.Event()
    if stopping.is_set():
        return  # Still queued: the control loop rings for it again.
    claim = claims.claim_job(job_id)
    if claim is None:
        log.info("nothing_to_claim", job=str(job_id))
        return
    with Heartbeat(claim) as heartbeat:
        try:
            _do(claim, heartbeat, loaded, stopping)
        except FenceLost:
            log.warning("fence_lost", job=str(job_id), fence=claim.fence)


def _do(claim: Claim, heartbeat: Heartbeat, loaded: LoadedVersions, stopping: threading.Event) -> None:
    try:
        _Sampling(claim, heartbeat, loaded.engine(claim.job.version), stopping).run()
        claims.finish_job(claim)
    except Stopping:
        claims.give_back(claim)
        log.info("job_given_back", job=str(claim.job.pk))
    except Cancelled:
        claims.stop_cancelled(claim)
    except SamplingFailed as error:
        claims.fail_job(claim, str(error))
    except (FenceLost, OperationalError, InterfaceError):
        # Without the database nothing can be written, a failure neither: the lease runs out, a successor goes on.
        raise
    except Exception as error:
        # The sampler's edge: whatever a model does must end in a reason that a person sees, not in a dead worker.
        log.exception("sampling_failed", job=str(claim.job.pk))
        claims.fail_job(claim, f"The sampler failed ({type(error).__name__}): {error}")
        loaded.forget(claim.job.version)  # Who knows in which state that left the engine.


class _Prompt:
    """A request under way: what was asked, and what came so far."""

    def __init__(self, row: SampleRequest, prompt_ids: tuple[int, ...]) -> None:
        self.row = row
        self.prompt_ids = prompt_ids
        self.samples: dict[int, engine_requests.Sample] = {}

    def texts(self) -> list[str]:
        return [self.samples[candidate].text for candidate in sorted(self.samples)]


class _Sampling:
    """One job in one engine: keeps its slots fed, and writes each request when its last candidate is there."""

    def __init__(
        self, claim: Claim, heartbeat: Heartbeat, engine: TorchEngine, stopping: threading.Event
    ) -> None:
        self.claim = claim
        self.heartbeat = heartbeat
        self.engine = engine
        self.stopping = stopping
        self.params = SamplingParams.from_json(claim.job.params)
        self.waiting: deque[_Prompt] = deque()
        self.running: dict[str, _Prompt] = {}  # by the engine's request id
        self.tokens = 0
        self.started = self.next_look = time.monotonic()

    def run(self) -> None:
        """Raises SamplingFailed, Cancelled, Stopping or FenceLost; the engine is left empty in any case."""
        # Long prompts first: rows of like length run together, and short ones fill the tail.
        prompts = [self._read(row) for row in claims.missing_requests(self.claim)]
        self.waiting.extend(sorted(prompts, key=lambda prompt: -len(prompt.prompt_ids)))
        try:
            while self.waiting or self.running:
                self._look()
                self._feed()
                slots = self.engine.slots
                events = self.engine.step()
                if self.engine.slots < slots:
                    log.warning("memory_ran_out", job=str(self.claim.job.pk), slots=self.engine.slots)
                self._take(events)
        finally:
            for request_id in self.running:
                self.engine.cancel(request_id)

    def _read(self, row: SampleRequest) -> _Prompt:
        try:
            return _Prompt(row, tuple(render_prompt(self.engine.tokenizer, row.messages)))
        except ValueError as error:
            raise SamplingFailed(f"Prompt {row.key[:12]} cannot be sampled: {error}") from error

    def _look(self) -> None:
        if self.heartbeat.lost.is_set():
            raise FenceLost
        if self.stopping.is_set():
            raise Stopping
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + LOOK_EVERY_SECONDS
            if claims.cancel_wanted(self.claim):
                raise Cancelled

    def _feed(self) -> None:
        """Keep twice as many candidates under way as there are slots, so that none stands empty."""
        while self.waiting and sum(prompt.row.n for prompt in self.running.values()) < 2 * self.engine.slots:
            prompt = self.waiting.popleft()
            self._submit(prompt, range(prompt.row.n))

    def _submit(self, prompt: _Prompt, candidates: range) -> None:
        request = engine_requests.SampleRequest(
            prompt_ids=prompt.prompt_ids,
            n=len(candidates),
            params=self.params,
            seed=self.claim.job.seed,
            key=prompt.row.key,
            candidates=tuple(candidates),
            stream=False,
        )
        try:
            self.running[self.engine.submit(request)] = prompt
        except ValueError as error:
            raise SamplingFailed(f"Prompt {prompt.row.key[:12]} cannot be sampled: {error}") from error

    def _take(self, events: list[engine_requests.Event]) -> None:
        """Keep what was finished, all of it, and only then fail for what could not be."""
        failed = ""
        for event in events:
            prompt = self.running.get(event.request_id)
            if prompt is None:
                continue
            if isinstance(event, engine_requests.ErrorEvent):
                failed = failed or f"{prompt.row.key[:12]} failed ({event.code}): {event.message}"
            elif isinstance(event, engine_requests.FinishEvent):
                prompt.samples[event.sample.candidate] = event.sample
                self.tokens += len(event.sample.token_ids)
                if event.last:
                    del self.running[event.request_id]
                    self._settle(prompt)
        if failed:
            raise SamplingFailed(f"Sampling prompt {failed}")

    def _settle(self, prompt: _Prompt) -> None:
        """Write the request, or draw further candidates where texts read alike."""
        # At temperature 0 every draw is the same, so drawing again would be for nothing.
        more = next_candidates(prompt.texts(), prompt.row.n) if self.params.temperature > 0 else range(0)
        if more:
            self._submit(prompt, more)
            return
        chosen = keep({candidate: sample.text for candidate, sample in prompt.samples.items()}, prompt.row.n)
        claims.write_request(
            self.claim,
            prompt.row,
            [self._completion(prompt.row, prompt.samples[candidate]) for candidate in chosen],
            redrawn=len(prompt.samples) - prompt.row.n,
            tokens_per_second=self.tokens / max(1e-3, time.monotonic() - self.started),
        )

    def _completion(self, row: SampleRequest, sample: engine_requests.Sample) -> Completion:
        return Completion(
            version=self.claim.job.version,
            request=row,
            candidate=sample.candidate,
            # PostgreSQL's text has no NUL; the token ids keep what was sampled exactly.
            text=sample.text.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            token_ids=list(sample.token_ids),
            logprobs=list(sample.logprobs),
            seed=sample.seed,
            params=self.claim.job.params,
            finish_reason=sample.finish_reason,
        )
