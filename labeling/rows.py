"""One row of a prompt import: which of the shapes it has, and what it says. Pure.

    {"prompt": text | messages, "completion"?: text | [assistant message]}      ("response" means the same)
    {"instruction": text, "input"?: text, "output"?: text, "system"?: text}
    {"messages": [...]}          an assistant turn at the end is a demonstration

each with optional "id", "owner" and "tags". Other columns are left alone: real datasets have many.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from common.errors import InvalidInput
from common.text import MAX_TEXT_BYTES, clean_text
from labeling.identity import Message, digest_of, prefix_digest_of, split_of
from labeling.lines import RowError
from labeling.pii import kinds_in

ROLES = ("system", "user", "assistant")
MAX_ID, MAX_OWNER, MAX_TAGS, MAX_TAG = 200, 120, 20, 60
SHAPES = ("prompt", "instruction", "messages")


class PromptRow(NamedTuple):
    """A prompt, and the answer that came with it, if any."""

    messages: list[Message]
    digest: str
    split: str
    owner_key: str
    external_id: str
    tags: list[str]
    completion: str | None
    prefix_digest: str
    pii: list[str]


def parse_row(row: dict[str, Any]) -> PromptRow:
    """The prompt in a row of any of the shapes. Raises RowError."""
    shapes = [name for name in SHAPES if row.get(name) is not None]
    if len(shapes) != 1:
        found = f"both {' and '.join(shapes)}" if shapes else "none of prompt, instruction and messages"
        raise RowError(
            "no_shape" if not shapes else "two_shapes",
            f"The row has {found}.",
            "Keep exactly one of them." if shapes else "Give one of them.",
        )
    messages, completion = READERS[shapes[0]](row)
    check_prompt(messages, shapes[0])
    owner = _short(row, "owner", MAX_OWNER)
    digest = digest_of(messages)
    return PromptRow(
        messages=messages,
        digest=digest,
        split=split_of(owner, digest),
        owner_key=owner,
        external_id=_short(row, "id", MAX_ID),
        tags=_tags(row),
        completion=completion,
        prefix_digest=prefix_digest_of(messages),
        pii=kinds_in(messages),
    )


def _read_prompt(row: dict[str, Any]) -> tuple[list[Message], str | None]:
    prompt = row["prompt"]
    name = "completion" if row.get("completion") is not None else "response"
    answer = row.get(name)
    if isinstance(answer, list):
        turns = read_messages(answer, name)
        if [turn["role"] for turn in turns] != ["assistant"]:
            raise RowError(
                "bad_completion", f"{name}: expected one assistant message.", "Keep only that turn.", name
            )
        answer = turns[0]["content"]
    completion = None if answer is None else _answer(answer, name)
    if isinstance(prompt, list):
        return read_messages(prompt, "prompt"), completion
    return [{"role": "user", "content": text_of(prompt, "prompt")}], completion


def _read_instruction(row: dict[str, Any]) -> tuple[list[Message], str | None]:
    asked = text_of(row["instruction"], "instruction")
    if row.get("input"):
        asked = f"{asked}\n\n{text_of(row['input'], 'input')}"
    messages: list[Message] = [{"role": "user", "content": asked}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": text_of(row["system"], "system")})
    return messages, _answer(row["output"], "output") if row.get("output") is not None else None


def _read_messages(row: dict[str, Any]) -> tuple[list[Message], str | None]:
    messages = read_messages(row["messages"], "messages")
    if len(messages) > 1 and messages[-1]["role"] == "assistant":
        return messages[:-1], _answer(messages[-1]["content"], f"messages.{len(messages) - 1}.content")
    return messages, None


READERS = {"prompt": _read_prompt, "instruction": _read_instruction, "messages": _read_messages}


def read_messages(value: Any, field: str) -> list[Message]:
    """A list of {role, content}, other keys left out. Raises RowError."""
    if not isinstance(value, list) or not value:
        raise RowError("bad_messages", f"{field}: expected a list of messages.", _EXAMPLE, field)
    messages: list[Message] = []
    for place, turn in enumerate(value):
        if not isinstance(turn, dict):
            raise RowError(
                "bad_messages", f"{field}.{place}: expected an object.", _EXAMPLE, f"{field}.{place}"
            )
        role = turn.get("role")
        if role not in ROLES:
            message = f"{field}.{place}.role: {str(role)[:40]!r} is unknown."
            raise RowError("unknown_role", message, f"Use {', '.join(ROLES)}.", f"{field}.{place}.role")
        messages.append({"role": role, "content": text_of(turn.get("content"), f"{field}.{place}.content")})
    return messages


_EXAMPLE = 'Write [{"role": "user", "content": "..."}].'


def check_prompt(messages: list[Message], field: str) -> None:
    """A prompt ends with what the user asks, and asks something. Raises RowError."""
    last = messages[-1]
    if last["role"] != "user":
        message = f"{field}: the prompt ends with the turn of the {last['role']}, not of the user."
        raise RowError("last_not_user", message, "End it with what is asked.", field)
    if not last["content"].strip():
        raise RowError(
            "empty_prompt", f"{field}: nothing is asked.", "Write the prompt, or take the row out.", field
        )


def text_of(value: Any, field: str) -> str:
    """A text that can be stored exactly. Raises RowError."""
    try:
        return clean_text(value, field=field)
    except InvalidInput as error:
        wrong = error.errors[0]
        remedies = {
            "not_text": "Write a JSON string.",
            "too_long": f"Shorten it to {MAX_TEXT_BYTES} bytes.",
            "nul": "Take the NUL character out.",
        }
        raise RowError(wrong.code, wrong.message, remedies.get(wrong.code, "Take it out."), field) from None


def _answer(value: Any, field: str) -> str:
    text = text_of(value, field)
    if not text.strip():
        raise RowError(
            "empty_completion", f"{field}: the answer is empty.", f"Leave {field} out, or fill it.", field
        )
    return text


def _short(row: dict[str, Any], field: str, longest: int) -> str:
    value = row.get(field)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = text_of(value, field)
    if len(text) > longest:
        raise RowError("too_long", f"{field}: at most {longest} characters.", f"Shorten {field}.", field)
    return text


def _tags(row: dict[str, Any]) -> list[str]:
    tags = row.get("tags")
    if tags is None:
        return []
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise RowError(
            "bad_tags", f"tags: expected a list of at most {MAX_TAGS} texts.", 'Write ["poem"].', "tags"
        )
    for place, tag in enumerate(tags):
        if len(text_of(tag, f"tags.{place}")) > MAX_TAG:
            raise RowError(
                "too_long", f"tags.{place}: at most {MAX_TAG} characters.", "Shorten it.", f"tags.{place}"
            )
    return tags
