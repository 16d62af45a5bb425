"""One row of a ranking import: K answers to a prompt, and how each annotator ordered them. Pure.

    {"prompt": text | "messages": [...], "responses": [text, ...], "response_systems"?: [name, ...],
     "rankings": [{"annotator": name, "ranks": [1, 2, 2, 4]}, ...], "id"?, "owner"?, "tags"?}

Ranks run along `responses`: 1 is best, equal ones are ties.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from labeling.lines import RowError
from labeling.rows import PromptRow, parse_row, text_of
from labeling.tiers import dense

FEWEST, MOST = 2, 9
MAX_NAME = 120


class GivenRanking(NamedTuple):
    """One annotator's order, as dense ranks along the responses."""

    annotator: str
    ranks: list[int]


class RankingRow(NamedTuple):
    """A prompt, its answers, who wrote them ("" if unknown), and the orders."""

    prompt: PromptRow
    responses: list[str]
    systems: list[str]
    rankings: list[GivenRanking]


def parse_ranking_row(row: dict[str, Any]) -> RankingRow:
    """The row, checked. Raises RowError."""
    asked = {name: row.get(name) for name in ("prompt", "messages", "id", "owner", "tags")}
    prompt = parse_row(asked)
    if prompt.completion is not None:
        raise RowError(
            "last_not_user",
            "messages: the prompt ends with an answer.",
            "End it with what is asked.",
            "messages",
        )
    responses = _texts(row.get("responses"), "responses")
    systems = _systems(row.get("response_systems"), len(responses))
    return RankingRow(prompt, responses, systems, _rankings(row.get("rankings"), len(responses)))


def _texts(value: Any, field: str) -> list[str]:
    if not isinstance(value, list) or not FEWEST <= len(value) <= MOST:
        message = f"{field}: expected a list of {FEWEST} to {MOST} texts."
        raise RowError("bad_responses", message, "Keep at most nine answers.", field)
    return [text_of(text, f"{field}.{place}") for place, text in enumerate(value)]


def _systems(value: Any, k: int) -> list[str]:
    if value is None:
        return [""] * k
    if not isinstance(value, list) or len(value) != k:
        message = f"response_systems: expected {k} names, one for each response."
        raise RowError(
            "bad_systems", message, "Leave response_systems out if they are unknown.", "response_systems"
        )
    return [_name(name, f"response_systems.{place}") for place, name in enumerate(value)]


def _name(value: Any, field: str) -> str:
    name = text_of(value, field).strip()
    if not 0 < len(name) <= MAX_NAME:
        raise RowError(
            "bad_name", f"{field}: expected 1 to {MAX_NAME} characters.", "Write a short name.", field
        )
    return name


def _rankings(value: Any, k: int) -> list[GivenRanking]:
    if not isinstance(value, list) or not value:
        raise RowError("bad_rankings", "rankings: expected a list that is not empty.", _EXAMPLE, "rankings")
    given: list[GivenRanking] = []
    for place, one in enumerate(value):
        field = f"rankings.{place}"
        if not isinstance(one, dict):
            raise RowError("bad_rankings", f"{field}: expected an object.", _EXAMPLE, field)
        annotator, ranks = _name(one.get("annotator"), f"{field}.annotator"), one.get("ranks")
        if annotator in {earlier.annotator for earlier in given}:
            raise RowError(
                "annotator_twice",
                f"{field}: the annotator stands here already.",
                "Keep one ranking of each.",
                field,
            )
        if not isinstance(ranks, list) or len(ranks) != k or not all(type(rank) is int for rank in ranks):
            message = f"{field}.ranks: expected {k} whole numbers, one for each response."
            raise RowError("bad_ranks", message, _EXAMPLE, f"{field}.ranks")
        given.append(GivenRanking(annotator, dense(ranks)))
    return given


_EXAMPLE = 'Write [{"annotator": "r1", "ranks": [1, 2, 2]}].'
