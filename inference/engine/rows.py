"""The engine's bookkeeping: a job is a request under way, a row one of its candidates in a slot."""

from __future__ import annotations

from collections import deque

from transformers import PreTrainedTokenizerBase

from inference.engine.chat import decode
from inference.engine.config import SamplingParams
from inference.engine.detokenize import TextStream
from inference.engine.reading import SharedPrompt
from inference.engine.requests import Sample, SampleRequest
from inference.engine.sampling import Adjustment, Uniforms


class Job:
    """A request, the candidates that still wait for a slot, and those that are finished."""

    __slots__ = ("dropped", "finished", "limit", "request", "request_id", "told", "waiting")

    def __init__(self, request_id: str, request: SampleRequest, limit: int) -> None:
        self.request_id = request_id
        self.request = request
        self.limit = limit  # tokens a candidate may have: max_tokens, or less where the context ends
        self.waiting = deque(request.wanted())
        self.finished: set[int] = set()
        self.told: dict[int, int] = {}  # candidate: tokens for which a TokenEvent was sent
        self.dropped = False

    def done(self) -> bool:
        """Whether no candidate is left."""
        return len(self.finished) == len(self.request.wanted())

    def again(self) -> None:
        """Let all unfinished candidates wait for a slot; their seeds make them say what they would have said."""
        self.waiting = deque(c for c in self.request.wanted() if c not in self.finished)

    def empty_sample(self, candidate: int) -> Sample:
        """What a candidate without room for a single token comes to."""
        return Sample(
            candidate=candidate,
            token_ids=(),
            logprobs=(),
            text="",
            finish_reason="length",
            seed=self.request.seed,
        )


class Row:
    """One candidate that is being written."""

    __slots__ = (
        "_ends",
        "_tokenizer",
        "adjustment",
        "cached",
        "candidate",
        "finish_reason",
        "ids",
        "job",
        "logprobs",
        "params",
        "poisoned",
        "prompt",
        "stream",
        "uniforms",
    )

    def __init__(
        self,
        job: Job,
        candidate: int,
        prompt: SharedPrompt,
        tokenizer: PreTrainedTokenizerBase,
        eos: frozenset[int],
        namespace: str,
    ) -> None:
        request = job.request
        self.job = job
        self.candidate = candidate
        self.prompt: SharedPrompt | None = prompt  # until its keys and values are in the slot
        self.params: SamplingParams = request.params
        self.cached = len(request.prompt_ids)  # tokens whose keys and values are in the slot
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish_reason = ""
        self.poisoned = False  # its keys and values may hold NaN
        self._tokenizer = tokenizer
        self._ends = frozenset(self.params.stop_token_ids) | (frozenset() if self.params.ignore_eos else eos)
        self.uniforms = Uniforms(namespace=namespace, seed=request.seed, key=request.key, candidate=candidate)
        self.adjustment = (
            Adjustment(self.params, request.prompt_ids, self._ends)
            if Adjustment.needed(self.params)
            else None
        )
        self.stream = TextStream(tokenizer, self.params.stop) if request.stream or self.params.stop else None

    def alive(self) -> bool:
        """Whether the row still needs its slot."""
        return not (self.finish_reason or self.job.dropped)

    def take(self, token: int, logprob: float) -> str:
        """Add a sampled token; set finish_reason when it was the last. Returns text to hand out."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        if self.adjustment is not None:
            self.adjustment.took(token)
        may_stop = len(self.ids) >= self.params.min_tokens
        ended = may_stop and token in self._ends
        full = len(self.ids) >= self.job.limit
        stream = self.stream
        found = stream is not None and not ended and stream.push(token, may_stop=may_stop)
        if stream is not None and not found and (ended or full):
            found = stream.finish(may_stop=may_stop)
        self.finish_reason = "stop" if ended or found else "length" if full else ""
        if stream is None:
            return ""
        return stream.close() if self.finish_reason else stream.take()

    def sample(self) -> Sample:
        """The finished candidate."""
        return Sample(
            candidate=self.candidate,
            token_ids=tuple(self.ids),
            logprobs=tuple(self.logprobs),
            text=self._text(),
            finish_reason=self.finish_reason,
            seed=self.job.request.seed,
        )

    def _text(self) -> str:
        if self.stream is not None:
            return self.stream.text
        ended = self.finish_reason == "stop" and self.ids[-1] in self._ends
        return decode(self._tokenizer, self.ids[:-1] if ended else self.ids)
