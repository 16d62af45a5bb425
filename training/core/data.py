"""JSON lines to token ids. What does not fit is dropped whole and counted, never cut: half an answer has no EOS to learn.

All lines of an input come from a checked snapshot; one that is malformed is an error that names the file and the line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from inference.engine.chat import Message, decode, encode_completion, render_prompt, render_turns
from training.core.errors import RunError

Dropped = Counter[str]
NOT_UTF8 = "Save the file as UTF-8, with whole characters only."
RATING_LIMIT = 10_000
"""Of a rating, up and down: scales of ten or a hundred points fit, and Elo; a sum of margins stays far from overflow."""

RANK_LIMIT = 1_000_000
"""Of a rank, up and down: float32 still tells neighbours apart."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A dialogue with assistant turns that show what a good answer looks like."""

    id: str
    ids: list[int]
    learned: tuple[tuple[int, int], ...]
    """Where the turns to learn from lie in `ids`, as [start, stop), the token that ends the turn included. The last ends
    with `ids`: what comes after it would be read for nothing."""
    turn: int
    """Index of the last of them among the dialogue's messages; those before it are its prompt."""

    @property
    def prompt_tokens(self) -> int:
        return self.learned[-1][0]

    @property
    def learned_tokens(self) -> int:
        return sum(stop - start for start, stop in self.learned)


@dataclass(frozen=True, slots=True)
class Ranking:
    """K answers to one prompt, each as prompt + answer ids, with ranks: 1 is best, equal numbers are ties."""

    id: str
    answers: list[list[int]]
    ranks: list[int]
    weight: float
    prompt_tokens: int = 0  # of each answer's ids, the same ones
    prompt_id: str | None = None
    labeler: str | None = None
    confidence: int | None = None  # as the labeler stated it
    ratings: list[float | None] | None = None  # of each answer, more is better
    versions: list[str | None] | None = None  # of each answer: the id of who wrote it, where that is known

    @property
    def prompt(self) -> tuple[int, ...]:
        return tuple(self.answers[0][: self.prompt_tokens])

    @property
    def longest(self) -> int:
        return max(map(len, self.answers))


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the policy is asked; its id is the key of its sampling seeds."""

    id: str
    messages: list[Message]
    ids: list[int]


def rows_of(folder: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """("train.jsonl line 3", row) for each line; nothing where the file is missing."""
    path = folder / name
    if not path.exists():
        return
    with path.open("rb") as file:  # Bytes: what is no text is to be told by its line.
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{name} line {number}"
            try:
                row = json.loads(line.decode("utf-8"))
                # Half a surrogate pair is no character, which only the tokenizer would notice.
                if b"\\ud" in line.lower():
                    json.dumps(row, ensure_ascii=False).encode("utf-8")
            except UnicodeError as wrong:
                raise bad_row(where, f"is not UTF-8 ({wrong})", NOT_UTF8) from wrong
            except (ValueError, RecursionError) as wrong:
                raise bad_row(where, f"is not JSON ({wrong})") from wrong
            if not isinstance(row, dict) or not isinstance(row.get("id"), str | int):
                raise bad_row(where, "is not an object with an id")
            yield where, row


def bad_row(where: str, what: str, remedy: str = "Export the dataset again.") -> RunError:
    return RunError("bad_dataset", f"{where} {what}.", remedy)


def messages_of(row: dict[str, Any], name: str, where: str) -> list[Message]:
    messages = row.get(name)
    if not isinstance(messages, list) or not all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
        for m in messages
    ):
        raise bad_row(where, f"has no list of messages under {name!r}")
    return [cast(Message, {"role": m["role"], "content": m["content"]}) for m in messages]


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: list[Message], where: str) -> list[int]:
    try:
        return render_prompt(tokenizer, messages)
    except ValueError as wrong:
        raise bad_row(where, f"cannot be rendered: {wrong}") from wrong


def read_demonstrations(
    folder: Path,
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    vocabulary: int,
    dropped: Dropped,
    *,
    loss_turns: str = "last",
) -> list[Demonstration]:
    """Demonstrations of at most `limit` tokens. Counts `no_answer`, `too_long` and `turns_rewritten`: a turn to be learned
    that the chat template shows otherwise once the dialogue has gone on would teach what the model never has to write.

    `loss_turns` is "last" or "all"; a row's own "learn", a list of message indexes, comes before it. A row's "token_ids"
    are those of its last message as they were sampled, the token that ended it included.
    """
    found = []
    for where, row in rows_of(folder, name):
        messages = messages_of(row, "messages", where)
        turns = _turns(row, messages, loss_turns, where)
        if not turns:
            dropped["no_answer"] += 1
            continue
        try:
            ids, spans = render_turns(tokenizer, messages[: turns[-1] + 1], turns)
        except ValueError as wrong:
            raise bad_row(where, f"cannot be rendered: {wrong}") from wrong
        sampled = _sampled_ids(row, vocabulary, where)
        if sampled is not None and turns[-1] == len(messages) - 1:
            if not decode(tokenizer, sampled).startswith(messages[-1]["content"]):
                raise bad_row(where, "has token_ids that do not spell its last message")
            start, _ = spans[turns[-1]]
            ids[start:] = sampled
            spans[turns[-1]] = (start, len(ids))
        if len(ids) > limit:
            dropped["too_long"] += 1
        elif not spans.keys() >= set(turns):
            dropped["turns_rewritten"] += 1
        else:
            learned = tuple(spans[turn] for turn in turns)
            found.append(Demonstration(str(row["id"]), ids, learned, turns[-1]))
    return found


def _turns(row: dict[str, Any], messages: list[Message], loss_turns: str, where: str) -> list[int]:
    """Which messages are learned, in order. An assistant's opening words answer nothing, so they are never among them."""
    answers = [k for k, message in enumerate(messages) if k and message["role"] == "assistant"]
    if "learn" in row:
        chosen = row["learn"]
        if not isinstance(chosen, list) or not all(type(k) is int and k in answers for k in chosen):
            raise bad_row(
                where, f"has under 'learn' not only indexes of assistant messages after the first ({answers})"
            )
        return sorted(set(chosen))
    if messages[-1:] and messages[-1]["role"] != "assistant":
        return []
    return answers if loss_turns == "all" else answers[-1:]


def read_rankings(
    folder: Path,
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    vocabulary: int,
    dropped: Dropped,
    *,
    ties: str = "drop",
) -> list[Ranking]:
    """Rankings of at least two answers, and where ties make no pairs at least two that are not tied.

    Counts what was left out, answers and whole rankings apart.
    """
    found = []
    for where, row in rows_of(folder, name):
        prompt = prompt_ids(tokenizer, messages_of(row, "prompt", where), where)
        ranking = _ranking(row, prompt, where, tokenizer, limit, vocabulary, dropped)
        if len(ranking.ranks) < 2:
            dropped["rankings_too_small"] += 1
        elif ties == "drop" and len(set(ranking.ranks)) < 2:
            dropped["rankings_all_tied"] += 1
        else:
            found.append(ranking)
    return found


def _ranking(
    row: dict[str, Any],
    prompt: list[int],
    where: str,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    vocabulary: int,
    dropped: Dropped,
) -> Ranking:
    ranks, responses = row.get("ranks"), row.get("responses")
    if not isinstance(ranks, dict) or not isinstance(responses, list):
        raise bad_row(where, "has no ranks or no responses")
    if type(copies := row.get("copies")) is int and copies > 0:  # Left out before the row was written.
        dropped["answers_copied"] += copies
    answers, kept_ranks, ratings, versions = [], [], [], []
    seen: set[str] = set()
    for response in responses:
        name = str(response.get("id")) if isinstance(response, dict) else ""
        ids = prompt + _answer_ids(tokenizer, response, vocabulary, where)
        if name in seen:
            raise bad_row(where, f"has two responses with the id {name!r}")
        seen.add(name)
        rank = ranks.get(name)
        if type(rank) is not int:
            dropped["answers_without_rank"] += 1
        elif not -RANK_LIMIT <= rank <= RANK_LIMIT:
            raise bad_row(where, f"has a rank beyond {RANK_LIMIT:,}", "Number the ranks from 1.")
        elif len(ids) > limit:
            dropped["answers_too_long"] += 1
        else:
            answers.append(ids)
            kept_ranks.append(rank)
            ratings.append(_rating(row, name, where))
            versions.append(_name(response, "version"))
    return Ranking(
        str(row["id"]),
        answers,
        kept_ranks,
        _weight(row, where),
        prompt_tokens=len(prompt),
        prompt_id=_name(row, "prompt_id"),
        labeler=_name(row, "labeler"),
        confidence=row["confidence"] if type(row.get("confidence")) is int else None,
        ratings=ratings,
        versions=versions,
    )


def _name(row: dict[str, Any], field: str) -> str | None:
    return None if row.get(field) is None else str(row[field])


def _rating(row: dict[str, Any], response: str, where: str) -> float | None:
    """{"ratings": {response id: number}}, for margins that grow with what the labeler thought of the answers."""
    ratings = row.get("ratings") or {}
    if not isinstance(ratings, dict):
        raise bad_row(where, "has ratings that are not {response id: number}")
    rating = ratings.get(response)
    if rating is None:
        return None
    if isinstance(rating, bool) or not isinstance(rating, int | float):
        raise bad_row(where, "has a rating that is not a number")
    if not -RATING_LIMIT <= rating <= RATING_LIMIT:  # NaN is not either
        raise bad_row(
            where,
            f"has under ratings[{response!r}] {rating!r:.24}, which is out of range",
            f"Give ratings from {-RATING_LIMIT} to {RATING_LIMIT}, or none where the labeler gave none.",
        )
    return float(rating)


def _answer_ids(tokenizer: PreTrainedTokenizerBase, response: Any, vocabulary: int, where: str) -> list[int]:
    if not isinstance(response, dict) or not isinstance(response.get("content"), str):
        raise bad_row(where, "has a response without content")
    sampled = _sampled_ids(response, vocabulary, where)
    return encode_completion(tokenizer, response["content"]) if sampled is None else sampled


def _sampled_ids(answer: dict[str, Any], vocabulary: int, where: str) -> list[int] | None:
    """The ids that were sampled, where they are known: a text may be encoded in other ways than it was written."""
    ids = answer.get("token_ids")
    if ids is None:
        return None
    if not isinstance(ids, list) or not ids or not all(type(i) is int and 0 <= i < vocabulary for i in ids):
        raise bad_row(where, "has token_ids outside the model's vocabulary")
    return ids


def _weight(row: dict[str, Any], where: str) -> float:
    weight = row.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e6:
        raise bad_row(where, "has a weight that is not a number from 0 on")
    return float(weight)


def read_prompts(
    folder: Path, name: str, tokenizer: PreTrainedTokenizerBase, limit: int, dropped: Dropped
) -> list[Prompt]:
    """Prompts of at most `limit` tokens; longer ones count as `prompts_too_long`.

    An id may stand there twice, but not with two prompts: answers are drawn by it.
    """
    found = []
    known: dict[str, list[int]] = {}
    for where, row in rows_of(folder, name):
        messages = messages_of(row, "prompt", where)
        ids = prompt_ids(tokenizer, messages, where)
        if known.setdefault(str(row["id"]), ids) != ids:
            raise bad_row(
                where, f"has the id {row['id']!r} of another prompt", "Give each prompt an id of its own."
            )
        if len(ids) > limit:
            dropped["prompts_too_long"] += 1
            continue
        found.append(Prompt(str(row["id"]), messages, ids))
    return found


def require_weight(rankings: list[Ranking], name: str) -> None:
    """RunError where every ranking has weight 0: the model would be published as it came."""
    if not any(ranking.weight for ranking in rankings):
        raise bad_row(
            name,
            "gives every ranking the weight 0",
            "Give those to learn from a weight above 0, or none at all.",
        )


def add_dropped(counts: Dropped, more: Dropped, of: str) -> None:
    """Add what another file left out, its reasons named after it: "valid" and "too_long" are `valid_too_long`."""
    counts.update({f"{of}_{reason}": count for reason, count in more.items()})


def make_room(setting: str, context: int) -> str:
    """What to do where no prompt leaves room for an answer of `setting` tokens: a higher limit would leave even less."""
    return (
        f"Lower {setting}: prompt and answer share the context of {context} tokens. Or add shorter prompts."
    )


def require_some(
    rows: list[Any], what: str, dropped: Dropped, remedy: str = "Collect more, or raise the length limits."
) -> None:
    """RunError `empty_dataset` where nothing is left, with what was dropped and why."""
    if not rows:
        counts = (
            ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()))
            or "the file has no rows"
        )
        raise RunError(
            "empty_dataset",
            f"No {what} left to train on ({counts}).",
            remedy,
        )
