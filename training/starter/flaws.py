"""Ways in which an answer goes wrong. The starter's corpus is a mixed bag on purpose: labelers need something to rank."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from labeling.demo.answers import good_answer
from labeling.demo.prompts import Asked, make_prompt, read_prompt, vocabulary

CURT = {
    "en": (
        "I do not know.",
        "Yes.",
        "Maybe later.",
        "That is a good question.",
        "It is what it is.",
        "No idea, sorry.",
    ),
    "zh": ("我不知道。", "好的。", "以后再说吧。", "不清楚。"),
}


def sentences(text: str) -> list[str]:
    """Sentences with the white space that follows each, so that joining them gives the text back."""
    return [part for part in re.split(r"(?<=[.!?。！？，,\n] )|(?<=[。！？\n])", text) if part]


def swap(asked: Asked, answer: str, rng: random.Random) -> str:
    """From some sentence on, one of the prompt's words becomes another of its kind."""
    slots = [(slot, word) for slot, word in asked.slots if slot != "problem" and word in answer]
    if not slots:
        return answer
    slot, word = rng.choice(slots)
    other = rng.choice([one for one in vocabulary(asked.language, slot) if one != word])
    parts = sentences(answer)
    start = rng.randrange(len(parts))
    return "".join(parts[:start]) + "".join(parts[start:]).replace(word, other)


def drift(asked: Asked, answer: str, rng: random.Random) -> str:
    """It begins well and goes on about something else."""
    parts = sentences(answer)
    keep = rng.randint(1, max(1, len(parts) - 1))
    rest = sentences(good_answer(make_prompt(rng, language=asked.language), rng.randrange(1 << 30)))
    return "".join(parts[:keep]) + "".join(rest[min(1, len(rest) - 1) :])


def cut(_asked: Asked, answer: str, rng: random.Random) -> str:
    """It stops in the middle of a sentence."""
    if " " in answer:
        words = answer.split(" ")
        return " ".join(words[: rng.randint(len(words) // 3, max(1, len(words) - 2))])
    return answer[: rng.randint(len(answer) // 3, max(1, len(answer) - 2))]


def lose_end(_asked: Asked, answer: str, rng: random.Random) -> str:
    """The last sentences are missing."""
    parts = sentences(answer)
    return "".join(parts[: max(1, len(parts) - rng.choice((1, 1, 2)))]).rstrip()


def repeat(_asked: Asked, answer: str, rng: random.Random) -> str:
    """One sentence is said again and again."""
    parts = sentences(answer)
    place = rng.randrange(len(parts))
    again = (
        parts[place]
        if parts[place][-1:].isspace() or "\u4e00" <= parts[place][:1] <= "\u9fff"
        else parts[place] + " "
    )
    return "".join(parts[:place]) + again * rng.choice((2, 2, 3)) + "".join(parts[place + 1 :])


def elsewhere(asked: Asked, _answer: str, rng: random.Random) -> str:
    """A fine answer to quite another question."""
    return good_answer(make_prompt(rng, language=asked.language), rng.randrange(1 << 30))


def curt(asked: Asked, _answer: str, rng: random.Random) -> str:
    """Hardly an answer."""
    return rng.choice(CURT[asked.language])


def foreign(asked: Asked, _answer: str, rng: random.Random) -> str:
    """The wrong language."""
    return good_answer(
        make_prompt(rng, language="en" if asked.language == "zh" else "zh"), rng.randrange(1 << 30)
    )


FLAWS: tuple[tuple[Callable[[Asked, str, random.Random], str], int], ...] = (
    (swap, 30), (drift, 20), (cut, 12), (lose_end, 14), (repeat, 10), (elsewhere, 6), (curt, 5), (foreign, 3),
)  # fmt: skip


def flawed_answer(prompt: str, seed: int, *, flaws: int) -> str:
    """An answer with this many flaws, drawn by their weights. Same arguments, same answer."""
    rng = random.Random(f"flaws:{seed}:{prompt}")  # noqa: S311 - a reproducible draw, no secret
    answer = good_answer(prompt, seed)
    asked = read_prompt(prompt)
    if asked is None:
        return answer
    for flaw in rng.choices([one for one, _ in FLAWS], weights=[weight for _, weight in FLAWS], k=flaws):
        answer = flaw(asked, answer, rng)
    return answer.strip()
