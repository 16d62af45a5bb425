"""The one canonical record of an answer. Every export format is a pure function of it (formats.py)."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from labeling.identity import Message


class Response(TypedDict):
    """One of the K answers that were ranked. What is unknown of an imported one is null."""

    id: str
    content: str
    policy: str  # name of the model version that wrote it
    version: str  # its id
    temperature: float | None
    seed: int | None
    finish: str  # stop | length, blank if unknown
    tokens: int | None
    token_ids: list[int] | None  # the ids that were sampled; encoding `content` again may give others


class CanonicalRanking(TypedDict):
    """A ranking: everything a trainer may want, of a labeler only a pseudonym."""

    id: str
    group_id: str  # the task: rankings of one group judge the same responses
    batch: str
    split: str
    prompt_id: str
    prompt: list[Message]
    responses: list[Response]
    ranks: dict[str, int]  # by response id; 1 is best, dense, equal numbers are ties
    forced: list[
        str
    ]  # responses whose text is that of an earlier one: shown once, tied by us, not by the labeler
    scores: dict[str, dict[str, int]]  # {response id: {"overall": 1..7}}
    confidence: int | None
    labeler: str
    pool: str
    is_synthetic: bool
    guideline: str
    display_order: list[str]
    revision: int
    active_ms: int
    submitted_at: str
    weight: float  # of this labeler's rankings, as it was when the record was made
    snapshot: NotRequired[str]
    round: NotRequired[int]


class CanonicalDemonstration(TypedDict):
    """A demonstration: the prompt and what a person would have the model answer."""

    id: str
    group_id: str
    batch: str
    split: str
    prompt_id: str
    messages: list[Message]  # the last one is the demonstration
    labeler: str
    pool: str
    is_synthetic: bool
    guideline: str
    revision: int
    active_ms: int
    submitted_at: str
    snapshot: NotRequired[str]
    round: NotRequired[int]


class CanonicalPrompt(TypedDict):
    """A prompt alone."""

    id: str
    split: str
    prompt: list[Message]
    source: str
    tags: list[str]
    snapshot: NotRequired[str]
