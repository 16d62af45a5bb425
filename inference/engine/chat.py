"""Messages to token ids and back: the only place that knows a chat template.

Three kinds of tokenizer are served:

- ours (`CHAT_TEMPLATE` with its marker tokens): rendered on token ids, turn by turn, so that no text can become a marker;
- any other with a chat template: transformers' `apply_chat_template` with its control-token guard switched on;
- a base tokenizer without a template: `PLAIN_TEMPLATE`, role names on their own lines.

Nothing is ever decoded and encoded again between stages: what `render_prompt` gives is what sampling and training read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

PAD, USER, ASSISTANT, SYSTEM, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
SPECIAL_TOKENS = (PAD, USER, ASSISTANT, SYSTEM, END)
"""In this order they take the ids 0 to 4 of a tokenizer of ours. `<|end|>` is EOS; `<|pad|>` is never written or learned."""

ROLES = {"user": USER, "assistant": ASSISTANT, "system": SYSTEM, "developer": SYSTEM}

# The marker names are written out, not joined from the role, so that transformers' guard finds them as literals.
CHAT_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' }}"
    "{% elif message['role'] in ['system', 'developer'] %}{{ '<|system|>' }}"
    "{% else %}{{ raise_exception('unknown role ' + message['role']) }}{% endif %}"
    "{{ message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'User:\n' + message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant:\n' + message['content'] + (eos_token or '') + '\n\n' }}"
    "{% else %}{{ message['content'] + '\n\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\n' }}{% endif %}"
)
"""What a base model without a template reads. Plain words, so a text may imitate a turn; it can't write EOS."""


class Message(TypedDict):
    """One turn: role user | assistant | system | developer, and its text."""

    role: str
    content: str


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of the dialogue so far with the opening of the assistant's next turn. Raises ValueError on odd messages."""
    _check_messages(messages)
    if _is_ours(tokenizer):
        return [*_ours(tokenizer, messages)[0], _id(tokenizer, ASSISTANT)]
    return _foreign(tokenizer, messages, generate=True)


def render_dialogue(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, last_only: bool = False
) -> tuple[list[int], list[int]]:
    """Token ids and loss mask (same length) of a finished dialogue.

    The mask is 1 on what the model has to write: the text of assistant turns and the token that ends them, and 0 elsewhere.
    `last_only` keeps the last assistant turn alone. For an assistant message k, `render_prompt(messages[:k])` is a
    prefix of the ids, always for the last one, and for earlier ones wherever the template does not rewrite
    history; a turn for which it does is masked 0.
    """
    ids, turns = render_turns(tokenizer, messages)
    mask = [0] * len(ids)
    for start, stop in list(turns.values())[-1 if last_only else 0 :]:
        mask[start:stop] = [1] * (stop - start)
    return ids, mask


def render_turns(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], wanted: Sequence[int] | None = None
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Token ids of a finished dialogue, and where in them each assistant message lies: its index -> [start, stop).

    From start to stop stands what the model has to write, the token that ends the turn included. An earlier turn that the
    template rewrites once others follow (thoughts taken out, say) is not at the place where it was written, and left out.
    `wanted` saves the search for other turns than these.
    """
    _check_messages(messages)
    if _is_ours(tokenizer):
        return _ours(tokenizer, messages)
    return _foreign_dialogue(tokenizer, messages, range(len(messages)) if wanted is None else wanted)


def encode_completion(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of an assistant's text with the end-of-turn token: what the model should have written."""
    return [*encode_text(tokenizer, text), turn_end_id(tokenizer)]


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of plain text. No BOS or EOS is added, and special-token strings in it stay plain text."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    special = set(tokenizer.all_special_ids)
    return [token for token in ids if token not in special] if special.intersection(ids) else ids


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of token ids, EOS and other special tokens left out, spaces as the model wrote them."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)  # noqa: S101 - a list of ids decodes to one text; tells mypy
    return text


def ensure_pad(tokenizer: PreTrainedTokenizerBase) -> int:
    """Give the tokenizer a PAD of its own, never EOS, and return its id.

    With pad = eos, code that looks for padding by id drops EOS from the loss or reads a score one token too early
    (transformers#35352). A new id may lie one past the embedding: `load_policy` grows it.
    """
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD})
    return int(tokenizer.pad_token_id)


def turn_end_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an assistant's turn: the first special token the template writes after its text, else EOS."""
    if _is_ours(tokenizer):
        return _id(tokenizer, END)
    return _template_turn_end(tokenizer, _template_of(tokenizer))


def end_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All ids that end a completion: EOS and the template's end of turn."""
    eos = tokenizer.eos_token_id
    return frozenset({turn_end_id(tokenizer)} | (set() if eos is None else {int(eos)}))


def _check_messages(messages: Sequence[Message]) -> None:
    if not messages:
        raise ValueError("messages is empty; send at least one message.")
    for place, message in enumerate(messages):
        if message.get("role") not in ROLES:
            raise ValueError(f"messages[{place}].role={message.get('role')!r}; use one of {sorted(ROLES)}.")
        if not isinstance(message.get("content"), str):
            raise ValueError(f"messages[{place}].content is not a text; send a text.")


def _is_ours(tokenizer: PreTrainedTokenizerBase) -> bool:
    if tokenizer.chat_template not in (CHAT_TEMPLATE, None):
        return False
    special = set(tokenizer.all_special_tokens)
    return special.issuperset((USER, ASSISTANT, SYSTEM, END)) and tokenizer.eos_token == END


def _id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)  # noqa: S101 - one token gives one id; tells mypy
    return found


def _ours(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Ids of whole turns, and where the model's own writing lies as [start, stop), by message."""
    ids: list[int] = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    turns = {}
    for place, message in enumerate(messages):
        ids.append(_id(tokenizer, ROLES[message["role"]]))
        start = len(ids)
        ids += [*encode_text(tokenizer, message["content"]), _id(tokenizer, END)]
        if message["role"] == "assistant":
            turns[place] = (start, len(ids))
    return ids, turns


def _foreign(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, generate: bool) -> list[int]:
    """The template's ids, applied once, with exactly one BOS where the template or the tokenizer itself writes one."""
    # sanitize_control_tokens encodes marker strings found in contents as plain text.
    try:
        rendered: Any = tokenizer.apply_chat_template(
            [{"role": message["role"], "content": message["content"]} for message in messages],
            chat_template=_template_of(tokenizer),
            add_generation_prompt=generate,
            sanitize_control_tokens=True,
            return_dict=False,
        )
    except TemplateError as error:
        raise ValueError(
            f"messages do not fit the model's chat template: {error}; change their roles or order."
        ) from error
    ids: list[int] = rendered
    bos = tokenizer.bos_token_id
    if bos is None or bos == tokenizer.eos_token_id:
        return ids
    rest = ids
    while rest[:1] == [bos]:
        rest = rest[1:]
    wanted = len(rest) < len(ids) or tokenizer.encode("")[:1] == [bos]
    return [int(bos), *rest] if wanted else rest


def _foreign_dialogue(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], wanted: Sequence[int]
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """The last assistant turn is the prompt's ids plus the completion's, as sampling will see it; earlier ones are found."""
    last: dict[int, tuple[int, int]] = {}
    if messages[-1]["role"] != "assistant":
        ids, earlier = _foreign(tokenizer, messages, generate=False), messages
    else:
        prompt = render_prompt(tokenizer, messages[:-1]) if len(messages) > 1 else []
        ids = prompt + encode_completion(tokenizer, messages[-1]["content"])
        last, earlier = {len(messages) - 1: (len(prompt), len(ids))}, messages[:-1]
    found = {}
    for place, message in enumerate(earlier):
        if message["role"] == "assistant" and place and place in wanted:
            span = _earlier_turn(tokenizer, messages[: place + 1], ids)
            if span is not None:
                found[place] = span
    return ids, found | last


def _earlier_turn(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], ids: list[int]
) -> tuple[int, int] | None:
    """Where the last of `messages` lies in the ids of a longer dialogue, if it lies there as it does without what follows."""
    start = len(prompt := render_prompt(tokenizer, messages[:-1]))
    alone = _foreign(tokenizer, messages, generate=False)
    end = turn_end_id(tokenizer)
    if alone[:start] != prompt or end not in alone[start:]:
        return None
    stop = alone.index(end, start) + 1
    return (start, stop) if ids[:stop] == alone[:stop] else None


def _template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    template: Any = tokenizer.chat_template
    if isinstance(template, dict):  # named templates, as {"default": ..., "tool_use": ...}
        template = template.get("default")
    return template if isinstance(template, str) else PLAIN_TEMPLATE


@lru_cache(maxsize=8)
def _template_turn_end(tokenizer: PreTrainedTokenizerBase, template: str) -> int:
    """`template` is part of the cache's key, so that a changed template is read again."""
    user, answer = Message(role="user", content="a"), Message(role="assistant", content="b")
    prompt = _foreign(tokenizer, [user], generate=True)
    whole = _foreign(tokenizer, [user, answer], generate=False)
    written = whole[len(prompt) :] if whole[: len(prompt)] == prompt else []
    # Not all_special_ids: that lists only tokens with a role such as EOS, which the end of turn may lack.
    special = {int(token) for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    for token in written:
        if token in special:
            return int(token)
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "the tokenizer has neither EOS nor a template that ends a turn; set eos_token in tokenizer_config.json."
        )
    return int(tokenizer.eos_token_id)
