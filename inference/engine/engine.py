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

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.cache import SlotCache
from inference.engine.chat import end_ids
from inference.engine.checks import Limits
from inference.engine.forward import (
    Prompt,
    context_length,
    decode_step,
    evaluating,
    read_prompts,
    score_items,
    vocabulary_size,
)
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
from inference.engine.sampling import Plan, draw


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
        self.tokenizer = tokenizer
        self.slots = slots
        self.context = context_length(model)
        self._limits = Limits(vocabulary=vocabulary_size(model), context=self.context)
        # A careless config.json may declare an EOS that the model can't write (GPT-2's 50256 is transformers' default).
        declared = end_ids(tokenizer) | _declared_ends(model)
        self._ends = frozenset(token for token in declared if 0 <= token < self._limits.vocabulary)
        self._namespace = seed_namespace
        self._share = share_prompts
        self._cache = SlotCache(slots, int(model.config.num_hidden_layers))
        self._queue: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}
        self._rows: list[Row] = []  # row i has slot i
        self._plan: Plan | None = None
        self._counts = {"requests": 0, "steps": 0, "sampled": 0, "prefill": 0, "shared": 0}

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
        if (job := self._jobs.pop(request_id, None)) is not None:
            job.dropped = True

    def step(self) -> list[Event]:
        """Free what was cancelled, fill free slots, and write one more token in every row."""
        events: list[Event] = []
        with evaluating(self.model):
            self._sweep()
            self._admit(events)
            if self._rows:
                self._decode(events)
                self._counts["steps"] += 1
        return events

    def busy(self) -> bool:
        """Whether a step would find something to do."""
        return bool(self._jobs or self._rows)

    def stats(self) -> EngineStats:
        """What the engine holds and has done."""
        counts = self._counts
        return EngineStats(
            slots=self.slots,
            running=len(self._rows),
            waiting=sum(len(job.waiting) for job in self._queue if not job.dropped),
            kv_bytes=self._cache.bytes(),
            steps=counts["steps"],
            sampled_tokens=counts["sampled"],
            prefill_tokens=counts["prefill"],
            shared_tokens=counts["shared"],
        )

    def generate(self, requests: Sequence[SampleRequest]) -> list[list[Sample]]:
        """Run requests to their end; samples in the order of requests and of their candidates.

        Raises EngineError when a request failed; the others are finished first and their samples are in the error.
        """
        for request in requests:
            self._limits.check_request(request)
        # Long prompts first: rows of like length run together, and short ones fill the tail.
        order = sorted(range(len(requests)), key=lambda i: -len(requests[i].prompt_ids))
        places = {self.submit(replace(requests[i], stream=False)): i for i in order}
        found: list[dict[int, Sample]] = [{} for _ in requests]
        errors: list[ErrorEvent] = []
        try:
            while any(request_id in self._jobs for request_id in places):
                for event in self.step():
                    if isinstance(event, FinishEvent) and event.request_id in places:
                        found[places[event.request_id]][event.sample.candidate] = event.sample
                    elif isinstance(event, ErrorEvent) and event.request_id in places:
                        errors.append(event)
        finally:
            for request_id in places:
                self.cancel(request_id)
            self._sweep()
        samples = [
            [got[c] for c in request.wanted() if c in got]
            for request, got in zip(requests, found, strict=True)
        ]
        if errors:
            raise EngineError(errors, samples)
        return samples

    def score(self, items: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Teacher-forced log-probabilities of (prompt ids, completion ids), in nats: raw logits, temperature 1."""
        for place, (prompt, completion) in enumerate(items):
            self._limits.check_item(f"items[{place}]", prompt, completion)
        with evaluating(self.model):
            return score_items(self.model, items)

    def _admit(self, events: list[Event]) -> None:
        """Move waiting candidates into free slots until either runs out."""
        # Rows may finish with their first token, so slots can be free again after a pass.
        while self._queue and len(self._rows) < self.slots:
            chosen = self._choose(events)
            if not chosen:
                return
            fresh = [
                Row(job, candidate, self.tokenizer, self._ends, self._namespace) for job, candidate in chosen
            ]
            prompts = self._read([row.job for row in fresh])
            logits_BV = torch.stack([prompt.logits_V for prompt in prompts])
            self._advance(fresh, logits_BV, Plan([row.params for row in fresh], logits_BV.device), events)
            self._place(fresh, prompts)

    def _choose(self, events: list[Event]) -> list[tuple[Job, int]]:
        """Candidates for the free slots, first come first served. A request without room for a token ends here."""
        chosen: list[tuple[Job, int]] = []
        free = self.slots - len(self._rows)
        while self._queue and len(chosen) < free:
            job = self._queue[0]
            while job.waiting and not job.dropped and len(chosen) < free:
                candidate = job.waiting.popleft()
                if job.limit:
                    chosen.append((job, candidate))
                else:
                    events.append(self._finish(job, job.empty_sample(candidate)))
            if job.dropped or not job.waiting:
                self._queue.popleft()
        return chosen

    def _read(self, jobs: list[Job]) -> list[Prompt]:
        """The read prompt of every fresh row; a prompt that several of them share is read once."""
        if not self._share:
            self._counts["prefill"] += sum(len(job.request.prompt_ids) for job in jobs)
            return read_prompts(self.model, [job.request.prompt_ids for job in jobs])
        known = {job.request.prompt_ids: job.prompt for job in jobs if job.prompt is not None}
        missing = list(
            dict.fromkeys(job.request.prompt_ids for job in jobs if job.request.prompt_ids not in known)
        )
        known.update(zip(missing, read_prompts(self.model, missing), strict=True))
        self._counts["prefill"] += sum(map(len, missing))
        self._counts["shared"] += sum(len(job.request.prompt_ids) for job in jobs) - sum(map(len, missing))
        for job in jobs:
            # Kept only while candidates of it still wait for a slot.
            job.prompt = known[job.request.prompt_ids] if job.waiting else None
        return [known[job.request.prompt_ids] for job in jobs]

    def _place(self, fresh: list[Row], prompts: list[Prompt]) -> None:
        """Give the fresh rows that go on a slot, and copy each prompt into its rows' slots at one go."""
        slots_of: dict[int, tuple[Prompt, list[int]]] = {}
        for row, prompt in zip(fresh, prompts, strict=True):
            if row.alive():
                slots_of.setdefault(id(prompt), (prompt, []))[1].append(len(self._rows))
                self._rows.append(row)
        for prompt, slots in slots_of.values():
            self._cache.write(slots, prompt.kv)
        self._plan = None

    def _decode(self, events: list[Event]) -> None:
        rows = self._rows
        logits_BV = decode_step(
            self.model, self._cache, [row.ids[-1] for row in rows], [row.cached for row in rows]
        )
        for row in rows:
            row.cached += 1
        if self._plan is None:
            self._plan = Plan([row.params for row in rows], logits_BV.device)
        self._advance(rows, logits_BV, self._plan, events)
        self._sweep()

    def _advance(self, rows: list[Row], logits_BV: Tensor, plan: Plan, events: list[Event]) -> None:
        """Draw one token for every row and tell what came of it."""
        uniforms = [row.uniforms.next() for row in rows]
        drawn = draw(logits_BV, plan, [row.adjustment for row in rows], uniforms)
        for row, token, logprob, sound in zip(rows, *drawn, strict=True):
            row.poisoned = not sound
            if row.job.dropped:
                continue
            if not sound:
                events.append(self._fail(row))
                continue
            self._counts["sampled"] += 1
            text = row.take(token, logprob)
            if row.job.request.stream:
                events.append(
                    TokenEvent(
                        request_id=row.job.request_id,
                        candidate=row.candidate,
                        token_id=token,
                        logprob=logprob,
                        text=text,
                    )
                )
            if row.finish_reason:
                events.append(self._finish(row.job, row.sample()))

    def _finish(self, job: Job, sample: Sample) -> FinishEvent:
        job.unfinished -= 1
        if not job.unfinished:
            del self._jobs[job.request_id]
        return FinishEvent(request_id=job.request_id, sample=sample, last=not job.unfinished)

    def _fail(self, row: Row) -> ErrorEvent:
        self.cancel(row.job.request_id)
        return ErrorEvent(
            request_id=row.job.request_id,
            candidate=row.candidate,
            code="invalid_logits",
            message="the model gave logits that are not numbers; check its weights, or load it in float32.",
        )

    def _sweep(self) -> None:
        """Free the slots of rows that ended, keeping the used ones together: the last row moves into the gap."""
        for slot in range(len(self._rows) - 1, -1, -1):
            row = self._rows[slot]
            if row.alive():
                continue
            if row.poisoned:
                self._cache.wipe(slot)
            last = self._rows.pop()
            if last is not row:
                self._cache.move(len(self._rows), slot, last.cached)
                self._rows[slot] = last
            self._plan = None


def _declared_ends(model: PreTrainedModel) -> frozenset[int]:
    """EOS ids of generation_config.json, where chat models list their end of turn."""
    declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if declared is None:
        return frozenset()
    return frozenset(declared) if isinstance(declared, list) else frozenset({declared})
