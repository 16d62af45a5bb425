"""E1 for DPO and best-of-n: float64 formulas of the papers, finite differences, and what must hold whatever the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, permutations
from statistics import fmean

import pytest
import torch
from torch import Tensor, tensor

from tests.training.core import oracles
from tests.training.core.test_losses import PRESENT, RANKS, assert_gradient, assert_same, noise
from training.core import losses


def filled(row: list[float], here: list[int]) -> list[float]:
    return [x for x, there in zip(row, here, strict=True) if there]


def by_ranking(oracle: Callable[..., float], *tensors: Tensor) -> list[float]:
    """The oracle of each ranking of RANKS, given the places that are filled."""
    rows = zip(*(x.tolist() for x in tensors), RANKS, PRESENT, strict=True)
    return [
        oracle(*(filled(x, here) for x in row), [int(r) for r in filled(ranks, here)])
        for *row, ranks, here in rows
    ]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_dpo_equals_equation_7_over_the_enumerated_pairs(smoothing: float) -> None:
    logp, ref = noise(4, 4, seed=1, scale=4), noise(4, 4, seed=2, scale=4)
    ranks, present = tensor(RANKS), tensor(PRESENT)

    def loss(x: Tensor) -> Tensor:
        rewards = losses.implicit_rewards(x, ref, beta=0.3)
        return losses.preference_losses(rewards, ranks, present, label_smoothing=smoothing)

    expected = by_ranking(lambda own, its, r: oracles.dpo_loss(own, its, r, 0.3, smoothing), logp, ref)
    assert_same(loss(logp), expected)
    assert_gradient(lambda x: loss(x).sum(), logp)


def test_plackett_luce_equals_the_product_of_its_choices() -> None:
    rewards, ranks, present = noise(4, 4, seed=3, scale=2), tensor(RANKS), tensor(PRESENT)
    expected = by_ranking(oracles.plackett_luce_loss, rewards)
    assert_same(losses.plackett_luce_losses(rewards, ranks, present), expected)
    assert_gradient(lambda x: losses.plackett_luce_losses(x, ranks, present).sum(), rewards)


def test_plackett_luce_without_ties_is_a_probability_of_orders() -> None:
    """exp(-(K - 1) x loss) over all K! orders sums to 1: it is the likelihood of the whole ranking."""
    rewards = noise(1, 4, seed=4).expand(24, 4)
    orders = tensor(list(permutations(range(4))))
    assert_same((-3 * losses.plackett_luce_losses(rewards, orders, torch.ones(24, 4))).exp().sum(), 1.0)


def test_two_answers_are_one_pair_for_either_loss() -> None:
    rewards, ranks = noise(6, 2, seed=5, scale=3), tensor([[1, 2], [2, 1]] * 3)
    present = torch.ones(6, 2)
    pair = losses.preference_losses(rewards, ranks, present)
    assert_same(losses.plackett_luce_losses(rewards, ranks, present), pair)
    assert_same(losses.ranking_losses(rewards, ranks, present), pair)


def test_tied_answers_do_not_compete() -> None:
    """Of a > b = c only the choice of a counts: b and c may swap or part without a change as long as their sum stays."""
    ranks, present = tensor([[1, 2, 2]]), torch.ones(1, 3)
    one, other = math.log(3.0), math.log(1.0)
    swapped = [
        losses.plackett_luce_losses(tensor([row], dtype=torch.float64), ranks, present)
        for row in ([0.5, one, other], [0.5, other, one], [0.5, math.log(2.0), math.log(2.0)])
    ]
    a = math.exp(0.5)
    for loss in swapped:
        assert_same(loss, [-math.log(a / (a + 4))])


LOSSES = [losses.preference_losses, losses.plackett_luce_losses]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_ranking_where_all_is_tied_gives_zero_and_no_nan(loss: Callable[..., Tensor]) -> None:
    rewards = noise(1, 4).requires_grad_()
    found = loss(rewards, tensor([[1, 1, 1, 1]]), tensor([[1, 1, 1, 1]]))
    found.sum().backward()
    assert found.item() == 0
    assert rewards.grad is not None
    assert (rewards.grad == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_in_an_empty_place_reaches_loss_or_gradient(loss: Callable[..., Tensor]) -> None:
    rewards, ranks, present = noise(1, 3), tensor([[1, 2, 0]]), tensor([[1, 1, 0]])
    for dirt in (0.0, math.nan, math.inf):
        x = rewards.clone()
        x[0, 2] = dirt
        x.requires_grad_()
        found = loss(x, ranks, present)
        found.sum().backward()
        assert_same(found, oracles.ranking_loss(rewards[0, :2].tolist(), [1, 2]))
        assert x.grad is not None
        assert_same(x.grad[0, :2].sum(), 0.0)
        assert x.grad[0, 2] == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_constant_of_the_prompt_changes_nothing(loss: Callable[..., Tensor]) -> None:
    rewards = noise(4, 4, seed=5)
    before, after = (loss(x, tensor(RANKS), tensor(PRESENT)) for x in (rewards, rewards + 7.5))
    assert_same(before, after)


def test_huge_gaps_stay_finite_in_float32() -> None:
    rewards, ranks = tensor([[-400.0, 400.0, 0.0]]).requires_grad_(), tensor([[1, 2, 3]])
    for loss in LOSSES:
        found = loss(rewards, ranks, torch.ones(1, 3))
        found.sum().backward()
        assert found.isfinite().all()
    assert rewards.grad is not None
    assert rewards.grad.isfinite().all()


def test_length_normalisation_divides_the_log_ratio() -> None:
    logp, ref = tensor([[-6.0, -4.0]]), tensor([[-9.0, -2.0]])
    found = losses.implicit_rewards(logp, ref, beta=2.0, tokens_BK=tensor([[3, 4]]))
    assert_same(found, [[2.0, -1.0]])


def test_bfloat16_log_probabilities_are_compared_in_float32() -> None:
    found = losses.implicit_rewards(noise(1, 2).bfloat16(), noise(1, 2).bfloat16(), beta=0.1)
    assert found.dtype == torch.float32


# --- best of n ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_the_mean_of_the_best_of_k_is_the_mean_over_all_choices(k: int) -> None:
    scores = noise(7, seed=6).tolist()
    expected = fmean(max(chosen) for chosen in combinations(scores, k))
    assert losses.best_of_k_mean(scores, k) == pytest.approx(expected, abs=1e-12)


def test_the_best_of_thousands_does_not_overflow() -> None:
    assert losses.best_of_k_mean([1.0] * 5000, 2500) == pytest.approx(1.0)


def test_kl_of_the_best_of_n() -> None:
    """The figures of spec row E6b, and 0 for no choice at all."""
    assert losses.best_of_n_kl(1) == 0
    assert [round(losses.best_of_n_kl(n), 3) for n in (4, 16, 64)] == [0.636, 1.835, 3.175]
