"""The report on a reward model, by hand."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from training.core.ranking_quality import reliability
from training.core.reward_report import Judged, attainable, clustered_error, compared, reward_report

ALONE = {"agreement": None, "agreement_pairs": 0}
"""Of a group where nobody else ordered the same answers."""


def judged(ranks: list[int], scores: list[float], labeler: str | None = "a", **more: object) -> Judged:
    return Judged(ranks, more.pop("answers", list(range(len(ranks)))), scores, labeler, **more)  # type: ignore[arg-type]


def test_the_report_by_hand() -> None:
    valid = [
        judged([1, 2, 2], [2.0, 1.0, 0.0], "ann", confidence=5, answers=["p1a", "p1b", "p1c"]),
        judged([1, 3], [0.0, 1.0], "bob", confidence=2, answers=["p2a", "p2b"]),
        judged([1, 1], [3.0, 1.0], "bob", answers=["p3a", "p3b"]),
    ]
    blind = [judged([1, 2, 2], [1.0, 1.0, 0.0])]
    found = reward_report(valid, blind, seen_in_training=4)
    assert (found["rankings"], found["pairs"]) == (2, 3)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["by_rank_distance"] == [
        {"distance": 1, "accuracy": 1.0, "pairs": 2, **ALONE},
        {"distance": 2, "accuracy": 0.0, "pairs": 1, **ALONE},
    ]
    assert found["by_labeler"] == [
        {"labeler": "ann", "accuracy": 1.0, "pairs": 2, **ALONE},
        {"labeler": "bob", "accuracy": 0.0, "pairs": 1, **ALONE},
    ]
    assert [(one["confidence"], one["accuracy"]) for one in found["by_confidence"]] == [(2, 0.0), (5, 1.0)]
    assert found["kendall_tau"] == 0
    assert (found["prompt_blind_accuracy"], found["prompt_blind_pairs"]) == (0.75, 2)
    assert found["seen_in_training"] == 4
    # No two people ranked the same answers.
    assert found["labeler_agreement"] is found["attainable_accuracy"] is None
    # Margins 1, 2 and 1: sigmoid 0.731 (right once of twice) and 0.881.
    low, high = (1 / (1 + math.exp(-x)) for x in (1, 2))
    assert [(one["count"], one["right"]) for one in found["reliability"]] == [(2, 0.5), (1, 1.0)]
    assert [one["stated"] for one in found["reliability"]] == pytest.approx([low, high])
    assert found["ece"] == pytest.approx((2 * (low - 0.5) + (1 - high)) / 3)


def test_pairs_of_one_policy_are_told_from_pairs_of_two() -> None:
    valid = [
        judged([1, 2, 3, 4], [4.0, 3.0, 1.0, 2.0], versions=["sft", "sft", "ppo", "ppo"]),
        judged([1, 2, 2], [0.0, 1.0, -1.0], versions=["sft", "sft", "sft"]),  # One right, one wrong, one tie.
        judged(
            [1, 2, 3], [1.0, 2.0, 3.0], versions=["ppo", None, None]
        ),  # Of two nobody knows who wrote them.
        judged([1, 2], [1.0, 2.0]),  # As of rows made by hand.
    ]
    by_source = reward_report(valid, [])["by_source"]
    assert [one["pairs"] for one in by_source] == [1, 3, 4]
    ppo, sft, mixed = by_source
    assert ppo == {"version": "ppo", "accuracy": 0.0, "accuracy_se": None, "pairs": 1}
    # Two draws, 1 of 1 and 1 of 2 pairs right, each 1/3 off two thirds of its pairs.
    assert sft == pytest.approx({"version": "sft", "accuracy": 2 / 3, "accuracy_se": 2 / 9, "pairs": 3})
    assert mixed == {"version": None, "accuracy": 1.0, "accuracy_se": None, "pairs": 4}


def test_held_out_labelers_have_a_number_of_their_own_and_change_no_other() -> None:
    valid = [judged([1, 2], [1.0, 0.0], "ann")]
    others = [
        judged([1, 2, 3], [2.0, 1.0, 0.0], "eva", answers=[0, 1, 2]),
        judged([1, 2], [0.0, 1.0], "eva"),
        judged([2, 1], [0.0, 1.0], "fay"),
        judged([1, 1], [0.0, 1.0], "gil"),  # Ties only: nothing to be right about.
    ]
    found, without = reward_report(valid, [], heldout_labelers=others), reward_report(valid, [])
    assert found.pop("heldout_labelers") == pytest.approx(
        {"accuracy": 4 / 5, "accuracy_se": math.sqrt((0.6**2 + 0.8**2 + 0.2**2) * 3 / 2) / 5, "pairs": 5, "labelers": 2}
    )  # fmt: skip
    assert without.pop("heldout_labelers") is None
    assert found == without


def test_without_rankings_all_is_null() -> None:
    found = reward_report([], [])
    names = ("accuracy", "accuracy_se", "attainable_accuracy", "ece", "kendall_tau", "prompt_blind_accuracy")
    assert [found[name] for name in names] == [None] * len(names)
    assert found["prompt_blind_pairs"] == 0


def test_agreement_compares_different_people_on_the_same_answers_once() -> None:
    def votes(*rankings: Judged) -> tuple[int, int]:
        found = list(compared(rankings))
        return sum(vote.alike for vote in found), len(found)

    one, other = judged([1, 2, 3], [], "ann"), judged([1, 3, 2], [], "bob")
    assert votes(one, other) == (2, 3)
    assert votes(one, judged([3, 2, 1], [], "ann")) == (0, 0)  # The same person twice.
    assert votes(one, judged([3, 2, 1], [], None)) == (0, 0)  # Nobody knows who.
    assert votes(one, judged([1, 1, 2], [], "bob")) == (2, 2)  # A tie says nothing.
    assert votes(one, judged([1, 2], [], "bob", answers=[1, 7])) == (0, 0)  # One answer in common is no pair.


def test_each_group_stands_beside_what_other_labelers_say_of_it() -> None:
    """Ann and Bob order three answers and differ on the last two; Cid, of whom nothing is validated, agrees with Ann."""
    ann = judged([1, 2, 3], [3.0, 2.0, 1.0], "ann", confidence=5)
    bob = judged([1, 3, 2], [3.0, 2.0, 1.0], "bob", confidence=2)
    cid = judged([1, 2, 3], [], "cid", confidence=5)
    found = reward_report([ann, bob], [], [cid])
    assert (found["labeler_agreement"], found["labeler_agreement_pairs"]) == (pytest.approx(7 / 9), 9)

    def beside(by: str, name: str) -> dict[Any, Any]:
        return {row[name]: (row["agreement"], row["agreement_pairs"]) for row in found[by]}

    # Ann against Bob 2 of 3, against Cid 3 of 3; Bob against either 2 of 3.
    assert beside("by_labeler", "labeler") == {
        "ann": (pytest.approx(5 / 6), 6),
        "bob": (pytest.approx(4 / 6), 6),
    }
    # Each pair counts at the distance that either labeler gives it; where they differ both say 1.
    assert beside("by_rank_distance", "distance") == {1: (pytest.approx(8 / 12), 12), 2: (1.0, 6)}
    assert beside("by_confidence", "confidence")[2] == (pytest.approx(4 / 6), 6)


def test_what_is_attainable_is_what_the_best_guess_gets_right() -> None:
    """Labelers who all put i over j with p = 0.8 agree with 0.68; always answering i is right with 0.8."""
    assert attainable(0.8**2 + 0.2**2) == pytest.approx(0.8)
    assert attainable(1.0) == 1
    assert attainable(0.4) == 0.5  # Chance may put agreement below a half.


def test_attainable_accuracy_bounds_the_oracle_of_simulated_labelers() -> None:
    """Three Plackett-Luce labelers of each of 300 prompts: what agreement foretells lies above Bayes, and near it."""
    rng, rankings, bayes = random.Random(1), [], []
    for n in range(300):
        worth = [rng.gauss(0, 1.2) for _ in range(4)]
        bayes += [1 / (1 + math.exp(-abs(a - b))) for i, a in enumerate(worth) for b in worth[:i]]
        for labeler in "abc":
            noisy = [w - math.log(-math.log(rng.random())) for w in worth]
            order = sorted(range(4), key=lambda i: -noisy[i])
            rankings.append(
                judged(
                    [order.index(i) + 1 for i in range(4)], worth, labeler, answers=[(n, i) for i in range(4)]
                )
            )
    found = reward_report(rankings, [])
    assert found["labeler_agreement_pairs"] == 300 * 6 * 3
    assert sum(bayes) / len(bayes) - 0.005 <= found["attainable_accuracy"] <= sum(bayes) / len(bayes) + 0.04
    assert found["labeler_agreement"] < found["accuracy"] < found["attainable_accuracy"]


def test_the_error_counts_rankings_and_not_their_pairs() -> None:
    """Nine copies of a pair in a ranking say no more than one."""
    single = [judged([1, 2], [s, 0.0]).pairs for s in (1.0, -1.0, 2.0, 3.0)]
    nine = [pairs * 9 for pairs in single]
    assert clustered_error(nine) == pytest.approx(clustered_error(single))
    assert clustered_error(single) == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert clustered_error(single[:1]) is None


def test_bins_of_the_reliability_curve() -> None:
    found = reliability([(0.55, 1.0), (0.59, 0.0), (1.0, 1.0)])
    assert [(one.low, one.high, one.right, one.count) for one in found] == [
        (0.5, 0.6, 0.5, 2),
        (0.9, 1.0, 1.0, 1),
    ]
    assert found[0].stated == pytest.approx(0.57)
