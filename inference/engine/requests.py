"""What goes into the engine and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from inference.engine.config import SamplingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """Candidates wanted for one prompt."""

    prompt_ids: tuple[int, ...]
    """Token ids as `render_prompt` gave them: at least one, at most the context less one."""

    n: int = 1
    """How many candidates, at least 1."""

    params: SamplingParams

    seed: int = 0
    """Any whole number. Same seed, key and candidate: same sample."""

    key: str = ""
    """A stable name of the prompt, such as its digest; never its place in a list."""

    candidates: tuple[int, ...] | None = None
    """Which candidates to draw; None draws 0..n-1. Lets lost ones be drawn again alone."""

    stream: bool = True
    """False leaves out TokenEvents, and the decoding they cost."""

    def __post_init__(self) -> None:
        # Lists come from JSON; a tuple can be compared and shared by value.
        object.__setattr__(self, "prompt_ids", tuple(self.prompt_ids))
        if self.candidates is not None:
            object.__setattr__(self, "candidates", tuple(self.candidates))

    def wanted(self) -> tuple[int, ...]:
        """The candidates' indices."""
        return tuple(range(self.n)) if self.candidates is None else self.candidates


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One finished completion."""

    candidate: int
    token_ids: tuple[int, ...]
    """All tokens that were sampled: with EOS when it was, with the tokens of a stop string."""

    logprobs: tuple[float, ...]
    """One per token: log-probability in nats under the raw logits at temperature 1."""

    text: str
    """Without EOS, stop token, stop string and other special tokens."""

    finish_reason: str
    """stop (EOS, stop token or stop string) or length (max_tokens or the context's end)."""

    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenEvent:
    """One token was sampled. `text` may be empty, or hold text of earlier tokens that was held back."""

    request_id: str
    candidate: int
    token_id: int
    logprob: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishEvent:
    """A candidate is complete. `last` says that the request has no other left."""

    request_id: str
    sample: Sample
    last: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorEvent:
    """The request can't go on; its unfinished candidates are dropped, those that finished stay valid."""

    request_id: str
    candidate: int
    code: str
    message: str


Event = TokenEvent | FinishEvent | ErrorEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """Counts since the engine was made, but for the first four, which are of now."""

    slots: int
    running: int
    """Rows in use."""
    waiting: int
    """Candidates not yet in a slot."""
    kv_bytes: int
    steps: int
    sampled_tokens: int
    prefill_tokens: int
    """Prompt tokens the model read."""
    shared_tokens: int
    """Prompt tokens it did not have to read, since another candidate shares the prompt."""


class EngineError(RuntimeError):
    """Some request of a `generate` call failed. `errors` says which; `samples` holds what the others finished."""

    def __init__(self, errors: list[ErrorEvent], samples: list[list[Sample]]) -> None:
        super().__init__(f"{len(errors)} request(s) failed, the first with: {errors[0].message}")
        self.errors = errors
        self.samples = samples
