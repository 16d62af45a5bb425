"""Continuous batching on an unmodified transformers model, with shared prompts and samples that depend on seeds alone.

    engine = TorchEngine(model, tokenizer, slots=16)
    [[sample, ...], ...] = engine.generate([SampleRequest(prompt_ids=ids, n=4, params=SamplingParams(max_tokens=64))])

Every step is one forward and one draw for all rows; a row that finishes frees its slot for the next candidate at once.
A unique prompt is read once, and its keys and values are copied to all its candidates. No keys or values outlive
their request, so weights may be trained between calls; while requests are under way they must not change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.chat import end_ids
from inference.engine.checks import Limits
from inference.engine.forward import (
    context_length,
    decode_step,
    evaluating,
    is_out_of_memory,
    score_items,
    vocabulary_size,
)
from inference.engine.reading import SharedPrompt, read_some
from inference.engine.requests import (
    EngineError,
    EngineStats,
    ErrorEvent,
    Event,
    FinishEvent,
    Sample,
    SampleRequest,
    TokenEvent,
)
from inference.engine.rows import Job, Row
from inference.engine.sampling import draw
from inference.engine.slots import Slots

INVALID_LOGITS = (
    "invalid_logits",
    "the model gave logits that are not numbers; check its weights, or load it in float32.",
)
OUT_OF_MEMORY = (
    "out_of_memory",
    "the prompt and its answer do not fit into memory, even alone; shorten the prompt or lower max_tokens.",
)


class TorchEngine:
    """One model on one device. Not safe for several threads: one loop owns it and calls `step`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        slots: int = 16,
        device: str | torch.device | None = None,
        seed_namespace: str = "",
        share_prompts: bool = True,
    ) -> None:
        """`device` None leaves the model where it is. `seed_namespace` separates streams of equal seed and key."""
        if slots < 1:
            raise ValueError(f"slots={slots} is out of range; send at least 1.")
        self.model = model
        if device is not None:
            nn.Module.to(model, device)
        self._modules = list(model.modules())  # to walk the tree at every step would take a twentieth of it
        self.tokenizer = tokenizer
        self.context = context_length(model)
        self._limits = Limits(vocabulary=vocabulary_size(model), context=self.context)
        self._ends = ends_of(model, tokenizer)
        self._namespace = seed_namespace
        self._share = share_prompts
        self._slots = Slots(slots, int(model.config.num_hidden_layers))
        self._queue: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}
        # A prompt lives as long as rows enter with it; `_kept` is that of the queue's head.
        self._prompts: WeakValueDictionary[tuple[int, ...], SharedPrompt] = WeakValueDictionary()
        self._kept: SharedPrompt | None = None
        self._events: list[Event] = []
        self._counts = {"requests": 0, "steps": 0, "sampled": 0, "prefill": 0, "shared": 0}

    @property
    def slots(self) -> int:
        """Sequences decoded at once; fewer than at first where memory ran out."""
        return self._slots.count

    def submit(self, request: SampleRequest) -> str:
        """Queue a request and return its id. Raises ValueError, naming the field, for what can't be sampled."""
        self._limits.check_request(request)
        self._counts["requests"] += 1
        request_id = f"request-{self._counts['requests']}"
        limit = min(request.params.max_tokens, self.context - len(request.prompt_ids))
        job = Job(request_id, request, limit)
        self._jobs[request_id] = job
        self._queue.append(job)
        return request_id

    def cancel(self, request_id: str) -> None:
        """Drop a request before the next step; it sends no further events. Unknown and finished ids are ignored."""
        self._drop(request_id)
        self._events = [event for event in self._events if event.request_id != request_id]

    def step(self) -> list[Event]:
        """Free what was cancelled, fill free slots, and write one more token in every row.

        Where memory runs out, half the slots are given up and all unfinished candidates start again from their seeds. After
        any other error they wait likewise. Events of candidates that were finished before it come with this step or the next.
        """
        whole = False
        try:
            with evaluating(self._modules):
                self._slots.sweep()
                self._choose()
                self._read()
                self._write()
            whole = True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        finally:
            if not whole:
                self._restart()
        if not whole:  # Out here the error is gone, and with it the tensors that its traceback held.
            self._shrink()
        events, self._events = self._events, []
        return events

    def busy(self) -> bool:
        """Whether a step would find something to do."""
        return bool(self._jobs or self._slots.rows or self._events)

    def stats(self) -> EngineStats:
        """What the engine holds and has done."""
        counts = self._counts
        return EngineStats(
            slots=self.slots,
            running=len(self._slots.rows),
            waiting=sum(len(job.waiting) for job in self._queue if not job.dropped)
            + len(self._slots.entering),
            kv_bytes=self._slots.cache.bytes(),
            steps=counts["steps"],
            sampled_tokens=counts["sampled"],
            prefill_tokens=counts["prefill"],
            shared_tokens=counts["shared"],
        )

    def generate(
        self, requests: Sequence[SampleRequest], *, finished: list[dict[int, Sample]] | None = None
    ) -> list[list[Sample]]:
        """Run requests to their end; samples in the order of requests and of their candidates.

        Raises EngineError when a request failed; the others are finished first and their samples are in the error.
        Whatever else a step may raise: `finished`, one dictionary a request, then holds its samples by candidate. Events
        of requests that were submitted earlier come with the next step.
        """
        for request in requests:
            self._limits.check_request(request)
        # Long prompts first: rows of like length run together, and short ones fill the tail.
        order = sorted(range(len(requests)), key=lambda i: -len(requests[i].prompt_ids))
        places = {self.submit(replace(requests[i], stream=False)): i for i in order}
        found: list[dict[int, Sample]] = [{} for _ in requests] if finished is None else finished
        events: list[Event] = []
        try:
            while any(request_id in self._jobs for request_id in places):
                events += self.step()
        finally:
            events += self._events  # of a step that raised
            for request_id in places:
                self.cancel(request_id)
            self._slots.sweep()
            self._events = [event for event in events if event.request_id not in places]
            for event in events:
                if isinstance(event, FinishEvent) and event.request_id in places:
                    found[places[event.request_id]][event.sample.candidate] = event.sample
        samples = [
            [got[c] for c in request.wanted() if c in got]
            for request, got in zip(requests, found, strict=True)
        ]
        errors = [event for event in events if isinstance(event, ErrorEvent) and event.request_id in places]
        if errors:
            raise EngineError(errors, samples)
        return samples

    def score(self, items: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Teacher-forced log-probabilities of (prompt ids, completion ids), in nats: raw logits, temperature 1."""
        for place, (prompt, completion) in enumerate(items):
            self._limits.check_item(f"items[{place}]", prompt, completion)
        with evaluating(self._modules):
            return score_items(self.model, items)

    def _choose(self) -> None:
        """Reserve free slots for waiting candidates, first come first served.

        A group need not fit whole: the prompt at the queue's head stays read while its candidates wait.
        """
        while self._queue and self._slots.free():
            job = self._queue[0]
            if job.waiting and not job.dropped:
                candidate = job.waiting.popleft()
                if job.limit:
                    self._slots.entering.append(self._row(job, candidate))
                else:
                    self._finish(job, job.empty_sample(candidate))
            if job.dropped or not job.waiting:
                self._queue.popleft()
        self._kept = self._prompts.get(self._queue[0].request.prompt_ids) if self._queue else None

    def _row(self, job: Job, candidate: int) -> Row:
        """A candidate with its prompt, which all candidates under way share that have the same."""
        ids = job.request.prompt_ids
        prompt = self._prompts.get(ids) if self._share else None
        if prompt is None:
            prompt = self._prompts[ids] = SharedPrompt(ids)
        else:
            self._counts["shared"] += len(ids)
        return Row(job, candidate, prompt, self.tokenizer, self._ends, self._namespace)

    def _read(self) -> None:
        """Read prompts for the reserved slots: one forward's worth, or all of them where no row has to wait for it."""
        while unread := self._slots.unread():
            self._counts["prefill"] += read_some(self.model, unread)
            if self._slots.rows:
                return

    def _write(self) -> None:
        """One more token in every row: one forward for those that run, one draw for them and those that enter."""
        running = list(self._slots.rows)
        if running:
            tokens, lengths = [row.ids[-1] for row in running], [row.cached for row in running]
            logits_BV = decode_step(self.model, self._slots.cache, tokens, lengths)
            for row in running:
                row.cached += 1
        if entered := self._slots.enter():
            fresh_BV = torch.stack(entered)
            logits_BV = torch.cat([logits_BV, fresh_BV]) if running else fresh_BV
        if self._slots.rows:
            self._advance(logits_BV)
            self._counts["steps"] += 1
            self._slots.sweep()

    def _advance(self, logits_BV: Tensor) -> None:
        """Draw one token for every row and tell what came of it."""
        rows = self._slots.rows
        uniforms = [row.uniforms.next() for row in rows]
        drawn = draw(
            logits_BV, self._slots.plan(logits_BV.device), [row.adjustment for row in rows], uniforms
        )
        for row, token, logprob, sound in zip(rows, *drawn, strict=True):
            row.poisoned = not sound
            if row.job.dropped:
                continue
            if not sound:
                self._fail(row.job, row.candidate, *INVALID_LOGITS)
                continue
            self._counts["sampled"] += 1
            text = row.take(token, logprob)
            if row.job.request.stream:
                self._tell(row, token, logprob, text)
            if row.finish_reason:
                self._finish(row.job, row.sample())

    def _tell(self, row: Row, token: int, logprob: float, text: str) -> None:
        """Send a token, unless the row is written again and it was sent the first time."""
        told = row.job.told
        if len(row.ids) <= told.get(row.candidate, 0):
            return
        told[row.candidate] = len(row.ids)
        self._events.append(
            TokenEvent(
                request_id=row.job.request_id,
                candidate=row.candidate,
                token_id=token,
                logprob=logprob,
                text=text,
            )
        )

    def _drop(self, request_id: str) -> None:
        if (job := self._jobs.pop(request_id, None)) is not None:
            job.dropped = True
            if self._queue and self._queue[0] is job:
                self._kept = None

    def _finish(self, job: Job, sample: Sample) -> None:
        job.finished.add(sample.candidate)
        if job.done():
            del self._jobs[job.request_id]
        self._events.append(FinishEvent(request_id=job.request_id, sample=sample, last=job.done()))

    def _fail(self, job: Job, candidate: int, code: str, message: str) -> None:
        self._drop(job.request_id)
        self._events.append(
            ErrorEvent(request_id=job.request_id, candidate=candidate, code=code, message=message)
        )

    def _restart(self) -> None:
        """Let the candidates of all rows wait again, whatever state an error left the rows in."""
        self._slots.clear(self.slots)
        self._kept = None
        for job in self._jobs.values():
            job.again()
        self._queue = deque(self._jobs.values())

    def _shrink(self) -> None:
        """Give up half the slots or, where there is but one, the request that does not fit into it."""
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.slots > 1:
            self._slots.clear(self.slots // 2)
        elif self._queue:  # It was alone, and it was the first.
            self._fail(self._queue[0], self._queue[0].waiting[0], *OUT_OF_MEMORY)


def ends_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All ids that end an answer of this model: the tokenizer's, and those of generation_config.json, where chat models list
    their end of turn."""
    declared: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if not isinstance(declared, list):
        declared = [] if declared is None else [declared]
    # A careless config.json may declare an EOS that the model can't write (GPT-2's 50256 is transformers' default).
    return frozenset(t for t in end_ids(tokenizer) | {*declared} if 0 <= t < vocabulary_size(model))
