"""Which of a prompt's completions to keep when some of them read alike. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

MOST_DRAWS = 3  # times n; then alike texts are accepted


def normalised(text: str) -> str:
    """What two texts share that a labeler could not tell apart: NFC, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def still_missing(texts: Sequence[str], n: int) -> int:
    """How many of n different texts are missing."""
    return max(0, n - len({normalised(text) for text in texts}))


def next_candidates(texts: Sequence[str], n: int) -> range:
    """Which candidates to draw further after `texts` of candidates 0, 1, ...; empty if there is nothing to gain."""
    drawn = len(texts)
    return range(drawn, min(drawn + still_missing(texts, n), MOST_DRAWS * n))


def keep(texts: Mapping[int, str], n: int) -> list[int]:
    """The n candidates to keep, in order: the first of every different text, then repetitions by their number."""
    seen: set[str] = set()
    first: list[int] = []
    again: list[int] = []
    for candidate in sorted(texts):
        text = normalised(texts[candidate])
        (again if text in seen else first).append(candidate)
        seen.add(text)
    return sorted((first + again)[:n])
