"""The demo's prompts and good answers."""

import random
from collections import Counter
from statistics import correlation, fmean

from labeling.demo.answers import good_answer
from labeling.demo.preference import hidden_score, judged
from labeling.demo.prompts import TEMPLATES, make_prompts, read_prompt

PROMPTS = make_prompts(1500, seed=3)


def test_every_prompt_can_be_read_back():
    assert all(read_prompt(prompt) is not None for prompt in PROMPTS)


def test_reading_gives_the_words_that_stand_in_the_prompt():
    asked = read_prompt("Tell me a story about Mia, a fox and a red kite.")
    assert asked is not None
    assert (asked.genre, asked.language) == ("story", "en")
    assert dict(asked.slots) == {"name": "Mia", "animal": "fox", "thing": "red kite"}


def test_a_prompt_from_elsewhere_is_not_read():
    assert read_prompt("Explain quantum mechanics.") is None


def test_the_same_seed_gives_the_same_prompts_and_another_seed_others():
    assert make_prompts(50, seed=3) == PROMPTS[:50]
    assert make_prompts(50, seed=4) != PROMPTS[:50]


def test_prompts_are_different_and_about_a_fifth_is_chinese():
    assert len(set(PROMPTS)) == len(PROMPTS)
    share = fmean(read_prompt(prompt).language == "zh" for prompt in PROMPTS)
    assert 0.12 < share < 0.25


def test_every_template_is_used():
    genres = Counter((asked.genre, asked.language) for asked in map(read_prompt, PROMPTS) if asked)
    assert set(genres) == {(template.genre, template.language) for template in TEMPLATES}


def test_good_answers_are_repeatable_and_vary_with_the_seed():
    prompt = PROMPTS[0]
    assert good_answer(prompt, 1) == good_answer(prompt, 1)
    assert len({good_answer(prompt, seed) for seed in range(20)}) > 5


def test_good_answers_use_all_of_the_prompt_and_nobody_else():
    for prompt in PROMPTS:
        parts = judged(prompt, good_answer(prompt, 0))
        assert min(parts[part] for part in ("uses", "own", "genre", "end", "language")) > 0.6, (prompt, parts)


def test_a_prompt_from_elsewhere_gets_an_apology_in_its_language():
    assert good_answer("Explain quantum mechanics.", 0).startswith("I am sorry")
    assert good_answer("请解释量子力学。", 0).startswith("对不起")


def test_among_good_answers_length_earns_nothing():
    rng = random.Random(0)
    by_genre: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for prompt in PROMPTS:
        asked, answer = read_prompt(prompt), good_answer(prompt, rng.randrange(1000))
        by_genre.setdefault((asked.genre, asked.language), []).append(
            (hidden_score(prompt, answer), len(answer))
        )
    found = []
    for pairs in by_genre.values():
        scores, lengths = zip(*pairs, strict=True)
        if len(set(scores)) > 1 and len(set(lengths)) > 1:
            found.append(correlation(scores, lengths))
    assert abs(fmean(found)) < 0.15
