"""The hidden preference of simulated labelers. Nothing that trains may import this; import contracts hold it.

`hidden_score` judges an answer by its prompt: its language, its own people and things and no others, the genre that was
asked for, facts of the town, an end. Every part saturates, so that length by itself earns nothing.
`rank` turns scores into a ranking with a labeler's noise: Plackett-Luce (a Gumbel draw added to each
score), with a tie where two draws come closer than a just noticeable difference.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from labeling.demo.prompts import Asked, read_prompt, vocabulary
from labeling.demo.words import Language, dish, place, problem

_WEIGHTS = {"language": 1.5, "uses": 1.5, "own": 1.0, "genre": 1.0, "end": 1.5, "flow": 0.5, "kind": 1.5}

# What an answer of each genre shows. One pattern each, looked for anywhere in the text.
_GENRE_CUES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "story": (r"\b(day|morning|spring)\b", r"\b(went|met|heard|found|saw|looked|asked|said)\b"),
        "note": (r"^Dear \w+,", r"\bthank"),
        "invitation": (r"^Dear \w+,", r"\bcome\b", r"o'clock"),
        "recipe": (r"\b[Ff]irst\b", r"\b[Tt]hen\b"),
        "advice": (r"\b(helps|plan|can|try)\b",),
        "directions": (r"\b(walks|turns|street|stay)\b", r"\b(next to|beside)\b"),
        "fact": (r"\bWillowby|next to|beside\b",),
        "poem": (r"\n.*\n.*\n",),
    },
    "zh": {
        "story": (r"有一天|早上|春天",), "note": (r"亲爱的", r"谢"), "recipe": (r"先", r"再"),
        "advice": (r"可以|建议",), "fact": (r"旁边",), "poem": (r"\n.*\n.*\n",),
    },
}  # fmt: skip

# How an answer of each genre ends well. Looked for in the last sentence or line.
_ENDS: dict[str, dict[str, str]] = {
    "en": {
        "story": r"home|friends|happy|smiled",
        "note": r"(Love|Yours), {name}$",
        "invitation": r"See you soon, {name}$",
    },
    "zh": {"story": r"回家|快乐", "note": r"你的朋友{name}$"},
}

_KIND = {
    "en": r"very kind|hope|visit us|happy|be fun|[Ee]njoy|luck|sure|patient|nice|smile|best of friends",
    "zh": r"祝|希望|享用|加油|慢慢就会|欢迎|开心|快乐|高兴",
}


@dataclass(frozen=True)
class Taste:
    """One labeler's own weights and steadiness. `sharpness` divides the noise; `tie_below` is in units of it."""

    weights: Mapping[str, float]
    sharpness: float = 4.0
    tie_below: float = 0.25


def taste_of(labeler: str) -> Taste:
    """A labeler's taste: the common one, each weight up to 20 % off, by the labeler's key."""
    rng = random.Random(f"taste:{labeler}")  # noqa: S311 - a reproducible draw, no secret
    return Taste({part: weight * rng.uniform(0.8, 1.2) for part, weight in _WEIGHTS.items()})


def hidden_score(prompt: str, answer: str, weights: Mapping[str, float] = _WEIGHTS) -> float:
    """How good the answer is for this prompt, 0 (worst) to 1 (best)."""
    parts = judged(prompt, answer)
    return sum(weights[part] * value for part, value in parts.items()) / sum(weights.values())


def judged(prompt: str, answer: str) -> dict[str, float]:
    """The parts of the score, each 0 to 1."""
    asked = read_prompt(prompt)
    if asked is None:
        return _judged_unknown(prompt, answer)
    cues = _GENRE_CUES[asked.language][asked.genre]
    uses = _share([any(word in answer for word in words) for words in wanted(asked)])
    return {
        "language": _language(asked.language, answer),
        "uses": uses,
        # Naming nobody is no merit of its own, or the shortest answer would be a good one.
        "own": min(1.0, 2 * uses) * max(0.0, 1.0 - 0.6 * len(_strangers(asked, answer))),
        "genre": _share([re.search(cue, answer) is not None for cue in cues]),
        "end": _end(asked, answer),
        "flow": _flow(answer),
        "kind": float(re.search(_KIND[asked.language], answer) is not None),
    }


def wanted(asked: Asked) -> list[tuple[str, ...]]:
    """What a good answer mentions: of each tuple at least one. The prompt's own words, and what the question is after."""
    words: list[tuple[str, ...]] = [(value,) for slot, value in asked.slots if slot != "problem"]
    if asked.genre == "advice":
        words.append(problem(asked.language, asked.get("problem")).tips)
    if asked.genre == "recipe":
        words.append((dish(asked.language, asked.get("dish")).base,))
    if asked.genre == "directions":
        goal = place(asked.language, asked.get("to"))
        words += [(goal.street,), (goal.near,)]
    if asked.genre == "fact":
        where = place(asked.language, asked.get("place"))
        fact = {
            "opens": where.opens,
            "keeper": where.keeper,
            "where": where.street,
            "known_for": where.known_for,
        }
        words += [(fact[asked.aspect or "opens"],)] * 2  # the answer itself counts twice
    return words


def rank(prompt: str, answers: Sequence[str], taste: Taste, rng: random.Random) -> list[list[int]]:
    """Tiers of places in `answers`, best first, as one labeler with this taste orders them this time."""
    spread = _SCORE_SPREAD / taste.sharpness
    felt = {}
    for place_, answer in enumerate(answers):
        gumbel = -math.log(-math.log(rng.uniform(1e-12, 1 - 1e-12)))
        felt[place_] = hidden_score(prompt, answer, taste.weights) / spread + gumbel
    tiers: list[list[int]] = []
    last = math.inf
    for place_ in sorted(felt, key=lambda one: -felt[one]):
        if last - felt[place_] < taste.tie_below:
            tiers[-1].append(place_)
        else:
            tiers.append([place_])
        last = felt[place_]
    return tiers


_SCORE_SPREAD = 0.17
"""About one standard deviation of the hidden score over a young model's answers: what `sharpness` is measured in."""


def _language(language: str, answer: str) -> float:
    letters = [letter for letter in answer if letter.isalpha()]
    if not letters:
        return 0.0
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in letters) / len(letters)
    return chinese if language == "zh" else 1.0 - chinese


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else 1.0


def _strangers(asked: Asked, answer: str) -> set[str]:
    """People, animals, things and dishes in the answer that nobody asked for."""
    # A fact of the town may hold such a word: the bookshop is known for a cat.
    own = " ".join(
        [*(value for _, value in asked.slots), *(word for words in wanted(asked) for word in words)]
    )
    words = _cast(asked.language)
    return set(words.findall(answer)) - set(words.findall(own))


@cache
def _cast(language: Language) -> re.Pattern[str]:
    """Any person, animal, thing or dish of the world."""
    words = [word for slot in ("name", "animal", "thing", "dish") for word in vocabulary(language, slot)]
    found = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(found if language == "zh" else rf"\b(?:{found})\b")


def _end(asked: Asked, answer: str) -> float:
    """Half for a finished last sentence, half for the end the genre has; genres without one of their own get both."""
    text = answer.strip()
    if not text:
        return 0.0
    wanted_end = _ENDS[asked.language].get(asked.genre)
    if wanted_end is None:
        return float(text[-1] in '.!?。！？"')
    last = _sentences(text)[-1]
    if re.search(wanted_end.format(name=re.escape(asked.get("name")) or r"\w+"), last):
        return 1.0
    return 0.5 if text[-1] in ".!?。！？" else 0.0


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?。！？])\s*|\n", text) if part.strip()]


def _flow(answer: str) -> float:
    sentences = _sentences(answer)
    return len(set(sentences)) / len(sentences) if sentences else 0.0


def _judged_unknown(prompt: str, answer: str) -> dict[str, float]:
    """A prompt from outside this world: language, words in common, an end. Simulated labelers do what they can."""
    language = "zh" if _language("zh", prompt) > 0.5 else "en"
    content = set(re.findall(r"\w{4,}", prompt.lower()))
    return {
        "language": _language(language, answer),
        "uses": min(1.0, _share([word in answer.lower() for word in sorted(content)]) * 2),
        "own": 1.0 if answer.strip() else 0.0,
        "genre": 1.0 if answer.strip() else 0.0,
        "end": float(answer.strip()[-1:] in tuple('.!?。！？"')),
        "flow": _flow(answer),
        "kind": 0.0,
    }
