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
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.cache import PromptKV, SlotCache
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
from inference.engine.sampling import Plan, draw

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
        self._entering: list[Row] = []  # have a slot reserved, and wait for their prompt to be read
        self._rows: list[Row] = []  # row i has slot i
        # A prompt lives as long as rows enter with it; `_kept` is that of the queue's head.
        self._prompts: WeakValueDictionary[tuple[int, ...], SharedPrompt] = WeakValueDictionary()
        self._kept: SharedPrompt | None = None
        self._events: list[Event] = []
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
        """Free what was cancelled, fill free slots, and write one more token in every row.

        Where memory runs out, half the slots are given up and all unfinished candidates start again from their seeds. After
        any other error they wait likewise. Events of candidates that were finished before it come with this step or the next.
        """
        short = False
        try:
            with evaluating(self.model):
                self._sweep()
                self._choose()
                self._read()
                self._write()
        except Exception as error:
            self._restart()
            if not is_out_of_memory(error):
                raise
            short = True
        if short:  # Out here the error is gone, and with it the tensors that its traceback held.
            self._shrink()
        events, self._events = self._events, []
        return events

    def busy(self) -> bool:
        """Whether a step would find something to do."""
        return bool(self._jobs or self._rows or self._events)

    def stats(self) -> EngineStats:
        """What the engine holds and has done."""
        counts = self._counts
        return EngineStats(
            slots=self.slots,
            running=len(self._rows),
            waiting=sum(len(job.waiting) for job in self._queue if not job.dropped) + len(self._entering),
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

    def _choose(self) -> None:
        """Reserve free slots for waiting candidates, first come first served.

        A group need not fit whole: the prompt at the queue's head stays read while its candidates wait.
        """
        while self._queue and len(self._rows) + len(self._entering) < self.slots:
            job = self._queue[0]
            if job.waiting and not job.dropped:
                candidate = job.waiting.popleft()
                if job.limit:
                    self._entering.append(self._row(job, candidate))
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
        unread = {
            id(row.prompt): row.prompt for row in self._entering if row.prompt and not row.prompt.ready()
        }
        while unread:
            self._counts["prefill"] += read_some(self.model, list(unread.values()))
            if self._rows:
                return
            unread = {place: prompt for place, prompt in unread.items() if not prompt.ready()}

    def _write(self) -> None:
        """One more token in every row: one forward for those that run, one draw for them and those that enter."""
        rows, logits = self._rows, []
        if rows:
            logits.append(
                decode_step(
                    self.model, self._cache, [row.ids[-1] for row in rows], [row.cached for row in rows]
                )
            )
            for row in rows:
                row.cached += 1
        logits += self._enter()
        if not logits:
            return
        logits_BV = logits[0] if len(logits) == 1 else torch.cat(logits)
        if self._plan is None:
            self._plan = Plan([row.params for row in rows], logits_BV.device)
        self._advance(logits_BV, self._plan)
        self._counts["steps"] += 1
        self._sweep()

    def _enter(self) -> list[Tensor]:
        """Give the rows whose prompt is read a slot, and return the logits (B, V) at their prompts' ends, if any."""
        slots_of: dict[int, tuple[PromptKV, list[int]]] = {}
        logits, still = [], []
        for row in self._entering:
            if row.prompt is None or row.prompt.logits_V is None or row.prompt.kv is None:
                still.append(row)
                continue
            slots_of.setdefault(id(row.prompt), (row.prompt.kv, []))[1].append(len(self._rows))
            self._rows.append(row)
            logits.append(row.prompt.logits_V)
            row.prompt = None
        self._entering = still
        for kv, slots in slots_of.values():
            self._cache.write(slots, kv)
        if not logits:
            return []
        self._plan = None
        return [torch.stack(logits)]

    def _advance(self, logits_BV: Tensor, plan: Plan) -> None:
        """Draw one token for every row and tell what came of it."""
        uniforms = [row.uniforms.next() for row in self._rows]
        drawn = draw(logits_BV, plan, [row.adjustment for row in self._rows], uniforms)
        for row, token, logprob, sound in zip(self._rows, *drawn, strict=True):
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

    def _finish(self, job: Job, sample: Sample) -> None:
        job.finished.add(sample.candidate)
        if job.done():
            del self._jobs[job.request_id]
        self._events.append(FinishEvent(request_id=job.request_id, sample=sample, last=job.done()))

    def _fail(self, job: Job, candidate: int, code: str, message: str) -> None:
        self.cancel(job.request_id)
        self._events.append(
            ErrorEvent(request_id=job.request_id, candidate=candidate, code=code, message=message)
        )

    def _restart(self) -> None:
        """Forget all rows and let their candidates wait again, whatever state an error left them in."""
        self._rows, self._entering, self._plan, self._kept = [], [], None, None
        self._cache = SlotCache(self.slots, self._cache.layer_count)
        for job in self._jobs.values():
            job.again()
        self._queue = deque(self._jobs.values())

    def _shrink(self) -> None:
        """Give up half the slots or, where there is but one, the request that does not fit into it."""
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.slots > 1:
            self.slots //= 2
            self._cache = SlotCache(self.slots, self._cache.layer_count)
        elif self._queue:  # With one slot, the first of the queue was in it.
            self._fail(self._queue[0], self._queue[0].waiting[0], *OUT_OF_MEMORY)

    def _sweep(self) -> None:
        """Free the slots of rows that ended, keeping the used ones together: the last row moves into the gap."""
        self._entering = [row for row in self._entering if row.alive()]
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
