"""What simulated labelers like, and how noisily they say it."""

import random
from itertools import pairwise
from statistics import fmean

import pytest

from labeling.demo.answers import good_answer
from labeling.demo.preference import hidden_score, rank, taste_of
from labeling.demo.prompts import make_prompts, read_prompt
from training.starter.flaws import FLAWS, flawed_answer

PROMPTS = make_prompts(400, seed=5)
STORY = "Tell me a story about Mia, a fox and a red kite."


@pytest.mark.parametrize("flaw", [flaw for flaw, _ in FLAWS], ids=lambda flaw: flaw.__name__)
def test_every_flaw_lowers_the_score(flaw):
    rng = random.Random(1)
    good = [hidden_score(prompt, good_answer(prompt, 1)) for prompt in PROMPTS]
    bad = [hidden_score(p, flaw(read_prompt(p), good_answer(p, 1), rng)) for p in PROMPTS]
    assert fmean(bad) < fmean(good) - 0.005


def test_the_score_depends_on_the_prompt():
    own = fmean(hidden_score(prompt, good_answer(prompt, 1)) for prompt in PROMPTS)
    others = fmean(hidden_score(p, good_answer(q, 1)) for p, q in pairwise(PROMPTS))
    assert own > others + 0.4


def test_going_on_and_on_earns_nothing():
    answer = good_answer(STORY, 1)
    for more in (" The sun was warm.", f" {answer}", " Leo came by."):
        assert hidden_score(STORY, answer + more) <= hidden_score(STORY, answer)


@pytest.mark.parametrize("answer", ["", " ", "\n", "...", "I do not know.", "Mia", "<script>", "你" * 500])
def test_odd_answers_score_low_and_within_bounds(answer):
    assert 0 <= hidden_score(STORY, answer) < 0.6


def test_a_prompt_from_elsewhere_is_judged_too():
    good = hidden_score("Explain gravity to a child.", "Gravity pulls every child to the ground.")
    assert 0 <= hidden_score("Explain gravity to a child.", "") < good <= 1


def test_a_ranking_holds_every_answer_once():
    rng = random.Random(2)
    for prompt in PROMPTS[:100]:
        answers = [flawed_answer(prompt, seed, flaws=seed % 3) for seed in range(6)]
        tiers = rank(prompt, answers, taste_of("a"), rng)
        assert sorted(place for tier in tiers for place in tier) == list(range(6))


def test_labelers_mostly_agree_with_the_score_but_not_always_and_sometimes_tie():
    rng = random.Random(3)
    right = pairs = tied = 0
    for prompt in PROMPTS:
        answers = [good_answer(prompt, 1), flawed_answer(prompt, 2, flaws=2)]
        score = [hidden_score(prompt, answer) for answer in answers]
        tiers = rank(prompt, answers, taste_of("a"), rng)
        tied += len(tiers) == 1
        if len(tiers) == 2 and score[0] != score[1]:
            pairs += 1
            right += (score[0] > score[1]) == (tiers[0] == [0])
    assert 0.8 < right / pairs < 0.995
    assert 0 < tied < len(PROMPTS) / 4


def test_two_labelers_have_different_tastes_and_one_keeps_theirs():
    assert taste_of("a").weights == taste_of("a").weights
    assert taste_of("a").weights != taste_of("b").weights
