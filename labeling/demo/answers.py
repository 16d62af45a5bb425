"""What a simulated labeler writes when asked for a demonstration."""

from __future__ import annotations

import random

from labeling.demo import chinese, english
from labeling.demo.prompts import read_prompt

_HELPLESS = {
    "en": "I am sorry, I only know the small town of Willowby. Ask me for a story, a letter or a recipe from there.",
    "zh": "对不起，我只知道柳溪镇的事情。你可以请我讲一个小故事，或者写一封信。",
}


def good_answer(prompt: str, seed: int) -> str:
    """An answer of demonstration quality: right genre and language, the prompt's own people and things, a proper end.

    Same prompt and seed, same answer. A prompt that is not of this world gets an honest apology.
    """
    asked = read_prompt(prompt)
    rng = random.Random(f"answer:{seed}:{prompt}")  # noqa: S311 - a reproducible draw, no secret
    if asked is None:
        return _HELPLESS["zh" if any("\u4e00" <= letter <= "\u9fff" for letter in prompt) else "en"]
    genres = english.GENRES if asked.language == "en" else chinese.GENRES
    return genres[asked.genre](asked, rng)
