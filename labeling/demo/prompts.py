"""What people ask in the demo's world: templates with slots, written and read back.

`read_prompt` undoes `make_prompt`, so a simulated labeler needs nothing but the prompt's text.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from labeling.demo.words import (
    ANIMALS,
    DISHES,
    EVENTS,
    EXTRAS,
    NAMES,
    PLACES,
    PROBLEMS,
    THINGS,
    TOPICS,
    Language,
)

Genre = Literal["story", "note", "invitation", "recipe", "advice", "directions", "fact", "poem"]
Aspect = Literal["opens", "keeper", "where", "known_for"]


@dataclass(frozen=True)
class Asked:
    """What a prompt asks for: its genre, its language, and what stood in each slot ("name", "animal", ...)."""

    genre: Genre
    language: Language
    slots: tuple[tuple[str, str], ...]
    aspect: Aspect | None = None  # of a fact

    def get(self, slot: str) -> str:
        return dict(self.slots).get(slot, "")


@dataclass(frozen=True)
class Template:
    genre: Genre
    language: Language
    text: str
    aspect: Aspect | None = None


def _templates(
    language: Language, genre: Genre, *texts: str, aspect: Aspect | None = None
) -> tuple[Template, ...]:
    return tuple(Template(genre, language, text, aspect) for text in texts)


# Slots: {name} {other} {animal} {thing} {dish} {extra} {event} {place} {to} {problem} {topic}.
TEMPLATES: tuple[Template, ...] = (
    *_templates(
        "en", "story",
        "Write a short story about {name} and a {animal}.",
        "Tell me a story about {name}, a {animal} and a {thing}.",
        "Can you tell a bedtime story with a {animal} and a {thing} for {name}?",
        "I would like a little story about {name} and a {thing}.",
    ),
    *_templates(
        "en", "note",
        "Write a thank-you note from {name} to {other} for the {thing}.",
        "Help {name} thank {other} for the {dish}.",
        "{name} got a {thing} from {other}. Write a short thank-you letter.",
    ),
    *_templates(
        "en", "invitation",
        "Write an invitation from {name} to {other} for a {event} at the {place}.",
        "{name} wants to invite {other} to eat {dish} at the {place}. Write the invitation.",
        "Invite {other} to a {event} near the {place}. It is from {name}.",
    ),
    *_templates(
        "en", "recipe",
        "How do I make {dish} with {extra}?",
        "Give {name} a simple recipe for {dish}.",
        "{name} wants to cook {dish} with {extra}. What are the steps?",
        "Please explain to {name} how to make {dish} with {extra}.",
    ),
    *_templates(
        "en", "advice",
        "My friend {name} {problem}. What should I say?",
        "{name} {problem}. Any advice?",
        "Please give {name} some advice. {name} {problem}.",
    ),
    *_templates(
        "en", "directions",
        "How does {name} get from the {place} to the {to} in Willowby?",
        "Tell {name} the way from the {place} to the {to}.",
        "{name} is at the {place} and is looking for the {to}. Which way is it?",
    ),
    *_templates("en", "fact", "{name} wants to visit the {place} in Willowby. When does it open?", aspect="opens"),
    *_templates("en", "fact", "{name} asks who runs the {place} in Willowby.", aspect="keeper"),
    *_templates("en", "fact", "Where in Willowby can {name} find the {place}?", aspect="where"),
    *_templates("en", "fact", "Tell {name} what the {place} in Willowby is known for.", aspect="known_for"),
    *_templates(
        "en", "poem",
        "Write a short poem about the {topic} for {name}.",
        "{name} likes the {topic} and a {animal}. Write four lines about them.",
        "Can you write a little poem about a {animal} and the {topic}?",
    ),
    *_templates("zh", "story", "请写一个关于{name}和{animal}的小故事。", "给我讲一个{name}、{animal}和{thing}的故事吧。", "写一个有{thing}的小故事，主角是{name}。"),
    *_templates("zh", "note", "请替{name}给{other}写一封感谢信，谢谢{thing}。", "{name}收到了{other}送的{thing}，请写一句感谢的话。"),
    *_templates("zh", "recipe", "请问{dish}怎么做？要加{extra}。", "{name}想做{dish}，请告诉{name}步骤。"),
    *_templates("zh", "advice", "{name}{problem}，怎么办？", "我的朋友{name}{problem}，请给一点建议。"),
    *_templates("zh", "fact", "{name}想去柳溪镇的{place}，几点开门？", aspect="opens"),
    *_templates("zh", "fact", "{name}想知道柳溪镇的{place}是谁管的。", aspect="keeper"),
    *_templates("zh", "fact", "请告诉{name}柳溪镇的{place}在哪里。", aspect="where"),
    *_templates("zh", "poem", "请为{name}写一首关于{topic}的小诗。"),
)  # fmt: skip

SHARE_OF_CHINESE = 0.2


def vocabulary(language: Language, slot: str) -> tuple[str, ...]:
    """Every word that may stand in a slot."""
    return {
        "name": NAMES[language],
        "other": NAMES[language],
        "animal": ANIMALS[language],
        "thing": THINGS[language],
        "dish": tuple(one.name for one in DISHES[language]),
        "extra": EXTRAS[language],
        "event": EVENTS[language],
        "place": tuple(one.name for one in PLACES[language]),
        "to": tuple(one.name for one in PLACES[language]),
        "problem": tuple(one.text for one in PROBLEMS[language]),
        "topic": TOPICS[language],
    }[slot]


def make_prompt(rng: random.Random, *, language: Language | None = None) -> str:
    """One prompt; without `language`, Chinese with SHARE_OF_CHINESE. Genres are equally likely."""
    language = language or ("zh" if rng.random() < SHARE_OF_CHINESE else "en")
    own = [one for one in TEMPLATES if one.language == language]
    genre = rng.choice(sorted({one.genre for one in own}))
    template = rng.choice([one for one in own if one.genre == genre])
    values: dict[str, str] = {}
    for slot in dict.fromkeys(re.findall(r"{(\w+)}", template.text)):
        # Nobody thanks themselves, and no way leads from the bakery to the bakery.
        free = [word for word in vocabulary(language, slot) if word not in values.values()]
        values[slot] = rng.choice(free)
    return template.text.format(**values)


def make_prompts(count: int, *, seed: int) -> list[str]:
    """`count` different prompts, the same for the same seed."""
    rng = random.Random(f"prompts:{seed}")  # noqa: S311 - a reproducible draw, no secret
    found: dict[str, None] = {}
    while len(found) < count:
        found[make_prompt(rng)] = None
    return list(found)


def read_prompt(text: str) -> Asked | None:
    """What a prompt asks, or None when it is none of ours."""
    for template, pattern in _patterns():
        if match := pattern.fullmatch(text.strip()):
            return Asked(template.genre, template.language, tuple(match.groupdict().items()), template.aspect)
    return None


@cache
def _patterns() -> tuple[tuple[Template, re.Pattern[str]], ...]:
    return tuple((template, re.compile(_pattern(template))) for template in TEMPLATES)


def _pattern(template: Template) -> str:
    out, seen = "", set()
    for part in re.split(r"({\w+})", template.text):
        slot = part[1:-1]
        if not part.startswith("{"):
            out += re.escape(part)
        elif slot in seen:
            out += f"(?P={slot})"
        else:
            seen.add(slot)
            words = sorted(vocabulary(template.language, slot), key=len, reverse=True)
            out += f"(?P<{slot}>{'|'.join(map(re.escape, words))})"
    return out
