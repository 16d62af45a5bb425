"""The measures at the end of `make demo`, on numbers worked by hand."""

import math

import pytest

from benchmarks.demo_table import attainable_accuracy, measure, paired_lift, table, verdicts
from labeling.demo.answers import good_answer
from labeling.demo.prompts import make_prompts

PROMPTS = make_prompts(220, seed=21)


def answers(make):
    return {
        p: [{"text": make(p, n), "tokens": 30 + n % 5, "finish_reason": "stop"}]
        for n, p in enumerate(PROMPTS)
    }


def good(prompt, _n):
    return good_answer(prompt, 0)


def mixed(prompt, n):
    return good_answer(prompt, 0) if n % 2 else "I do not know."


def outcome(sft, ppo, *, kl=5.0):
    found = {"base": answers(mixed), "sft": answers(sft), "ppo": answers(ppo)}
    return measure(found, kl=kl, kl_budget=20.0, accuracy=0.7, attainable=0.8)


def test_the_lift_is_in_standard_deviations_of_the_first():
    lift, low, high = paired_lift([[0.0], [1.0], [2.0]], [[1.0], [2.0], [3.0]])
    assert lift == pytest.approx(1.0)
    assert low == pytest.approx(1.0)
    assert high == pytest.approx(1.0)


def test_the_interval_is_the_paired_one():
    lift, low, _ = paired_lift([[0.0], [0.0], [1.0], [1.0]], [[0.0], [1.0], [1.0], [2.0]])
    unit = math.sqrt(1 / 3)
    assert lift == pytest.approx(0.5 / unit)
    assert low == pytest.approx((0.5 - 2.5758 * math.sqrt(1 / 3) / 2) / unit)


def test_several_answers_to_a_prompt_are_one_pair_and_the_unit_is_that_of_single_answers():
    lift, low, high = paired_lift([[0.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [0.5, 1.5]])
    assert lift == pytest.approx(0.5 / math.sqrt(1 / 3))
    assert low == high == pytest.approx(lift)


def test_a_better_policy_passes():
    assert all(holds for _, holds in verdicts(outcome(mixed, good)))


def test_the_same_policy_does_not_pass():
    failed = [line for line, holds in verdicts(outcome(mixed, mixed)) if not holds]
    assert len(failed) == 2


def test_a_policy_too_far_away_does_not_pass():
    assert [holds for _, holds in verdicts(outcome(mixed, good, kl=21.0))][-1] is False
    assert [holds for _, holds in verdicts(outcome(mixed, good, kl=None))][-1] is False


def test_the_table_names_every_number():
    text = table(outcome(mixed, good))
    for word in ("base", "sft", "ppo", "99 % interval", "KL", "Reward model accuracy", "0.800"):
        assert word in text


def test_attainable_accuracy_counts_strict_pairs_and_half_of_what_the_score_holds_equal():
    prompt = PROMPTS[0]
    texts = {"a": good_answer(prompt, 0), "b": "I do not know.", "c": "I do not know."}
    row = {
        "prompt": [{"role": "user", "content": prompt}],
        "responses": [{"id": one, "content": text} for one, text in texts.items()],
        "ranks": {"a": 1, "b": 2, "c": 2},
    }
    assert attainable_accuracy([row]) == 1.0
    assert attainable_accuracy([row | {"ranks": {"a": 3, "b": 2, "c": 1}}]) == pytest.approx(0.5 / 3)
    assert attainable_accuracy([]) is None
