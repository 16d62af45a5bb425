"""E1: every formula against a slow numpy one in float64, its gradient against finite differences, and numbers by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, tensor

from tests.training.core import oracles
from training.core import losses

LENGTHS = [5, 1, 7, 3]
B, R, V = len(LENGTHS), 7, 11


def ragged_mask() -> Tensor:
    return (torch.arange(R) < tensor(LENGTHS).unsqueeze(1)).long()


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(found: Tensor, expected: object, within: float = 1e-12) -> None:
    np.testing.assert_allclose(found.detach().numpy(), np.asarray(expected), atol=within, rtol=within)


def assert_gradient(f: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """autograd against central differences, entry by entry."""
    x = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(f(x), x)
    step, measured = 1e-6, torch.zeros_like(x)
    for i in range(x.numel()):
        shift = torch.zeros(x.numel(), dtype=x.dtype)
        shift[i] = step
        up, down = f(x.detach() + shift.view_as(x)), f(x.detach() - shift.view_as(x))
        measured.view(-1)[i] = (up - down) / (2 * step)
    assert_same(exact, measured, within=1e-5)


def test_nll_counts_the_masked_in_tokens_only() -> None:
    logits, mask = noise(B, R, V, scale=3), ragged_mask()
    tokens = torch.randint(V, (B, R), generator=torch.Generator().manual_seed(1))
    assert_same(
        losses.nll_sum(logits, tokens, mask), oracles.nll(logits.numpy(), tokens.numpy(), mask.numpy())
    )
    assert_gradient(lambda x: losses.nll_sum(x, tokens, mask), logits)


def test_prompt_only_logits_get_no_gradient() -> None:
    logits = noise(1, 6, V).requires_grad_()
    mask = tensor([[0, 0, 0, 1, 1, 1]])
    losses.nll_sum(logits, torch.zeros(1, 6, dtype=torch.long), mask).backward()
    assert logits.grad is not None
    assert (logits.grad[0, :3] == 0).all()
    assert (logits.grad[0, 3:] != 0).all()


def test_log_probabilities_of_bfloat16_logits_are_computed_in_float32() -> None:
    logits = noise(2, 3, V, scale=5).bfloat16()
    found = losses.token_logprobs(logits, torch.zeros(2, 3, dtype=torch.long))
    assert found.dtype == torch.float32
    assert_same(found, oracles.log_softmax(logits.double().numpy())[..., 0], within=1e-5)


def test_ranking_losses_of_bfloat16_scores_are_computed_in_float32() -> None:
    scores, ranks, present = (
        noise(4, 5, scale=3).bfloat16(),
        torch.tensor([[1, 2, 3, 3, 5]] * 4),
        torch.ones(4, 5),
    )
    for loss in (losses.ranking_losses, losses.centring_losses):
        found = loss(scores, ranks, present)
        assert_same(found, loss(scores.double(), ranks, present).numpy(), within=1e-6)
        assert found.dtype == torch.float32


def test_entropy_of_equal_logits_is_log_of_their_number() -> None:
    assert_same(losses.token_entropy(torch.zeros(1, 1, 8, dtype=torch.float64)), [[math.log(8)]])


RANKS = [[1, 2, 2, 3], [4, 1, 3, 2], [1, 1, 1, 1], [2, 1, 0, 0]]
PRESENT = [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]


def test_ranking_loss_equals_the_enumerated_pairs() -> None:
    scores = noise(4, 4, seed=2, scale=2)
    expected = [
        oracles.ranking_loss(
            [s for s, p in zip(row, here, strict=True) if p],
            [r for r, p in zip(ranks, here, strict=True) if p],
        )
        for row, ranks, here in zip(scores.tolist(), RANKS, PRESENT, strict=True)
    ]
    assert_same(losses.ranking_losses(scores, tensor(RANKS), tensor(PRESENT)), expected)
    assert_gradient(lambda x: losses.ranking_losses(x, tensor(RANKS), tensor(PRESENT)).sum(), scores)


def each_ranking(scores: Tensor) -> list[tuple[list[float], list[int], list[int]]]:
    """(scores, ranks, their places in the row) without the empty places."""
    found = []
    for row, ranks, here in zip(scores.tolist(), RANKS, PRESENT, strict=True):
        places = [k for k, p in enumerate(here) if p]
        found.append(([row[k] for k in places], [ranks[k] for k in places], places))
    return found


LEVELS = [[-7.0, -3.0, math.nan, -5.0], [4.0, 1.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0], [-1.0, -6.0, 0.0, 0.0]]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("levels", [None, LEVELS])
def test_ranking_loss_with_ties_and_margins_equals_the_enumerated_pairs(
    half: bool, levels: list[list[float]] | None
) -> None:
    scores, ties = noise(4, 4, seed=2, scale=2), "half" if half else "drop"
    three = tensor(RANKS), tensor(PRESENT)
    margins = losses.gap_margins(tensor(levels or RANKS, dtype=torch.float64), 0.3)
    expected = [
        oracles.ranking_loss(
            s, r, half=half, margin=0.3, levels=[levels[b][k] for k in places] if levels else None
        )
        for b, (s, r, places) in enumerate(each_ranking(scores))
    ]
    assert_same(losses.ranking_losses(scores, *three, ties=ties, margins_BKK=margins), expected)
    assert_gradient(lambda x: losses.ranking_losses(x, *three, ties=ties, margins_BKK=margins).sum(), scores)


@pytest.mark.parametrize("half", [False, True])
def test_centring_loss_equals_the_enumerated_pairs(half: bool) -> None:
    scores, ties = noise(4, 4, seed=3, scale=2), "half" if half else "drop"
    expected = [oracles.centring_loss(s, r, half=half) for s, r, _ in each_ranking(scores)]
    assert_same(losses.centring_losses(scores, tensor(RANKS), tensor(PRESENT), ties=ties), expected)
    assert_gradient(
        lambda x: losses.centring_losses(x, tensor(RANKS), tensor(PRESENT), ties=ties).sum(), scores
    )


def test_half_a_tie_each_way_pulls_both_scores_together() -> None:
    scores = tensor([[2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = losses.ranking_losses(scores, tensor([[1, 1]]), torch.ones(1, 2), ties="half")
    loss.sum().backward()
    assert scores.grad is not None
    # d/dx of -(log s(x) + log s(-x)) / 2 is s(x) - 1/2.
    pull = 1 / (1 + math.exp(-2)) - 0.5
    assert_same(scores.grad, [[pull, -pull]])
    same = losses.ranking_losses(torch.zeros(1, 2), tensor([[1, 1]]), torch.ones(1, 2), ties="half")
    assert same.item() == pytest.approx(math.log(2))


def test_a_tie_weighs_as_much_as_any_other_pair_where_it_counts() -> None:
    """A > B = C > D: six pairs, one of them half each way."""
    weights = losses.pair_weights(tensor(RANKS[:1]), tensor(PRESENT[:1]), ties="half")
    assert float(weights.sum()) == 6
    assert sorted(set(weights.flatten().tolist())) == [0.0, 0.5, 1.0]


def test_what_stands_in_an_empty_place_reaches_no_ranking_loss() -> None:
    scores = noise(4, 4, seed=2)
    dirty = torch.where(tensor(PRESENT).bool(), scores, torch.full_like(scores, math.nan))
    for ties in ("drop", "half"):
        clean, found = (
            losses.ranking_losses(x, tensor(RANKS), tensor(PRESENT), ties=ties) for x in (scores, dirty)
        )
        assert torch.equal(clean, found)


def test_a_over_b_equal_c_over_d_is_five_pairs() -> None:
    assert int(losses.kept_pairs(tensor(RANKS[:1]), tensor(PRESENT[:1])).sum()) == 5


def test_a_ranking_where_all_is_tied_gives_zero_and_no_nan() -> None:
    scores = noise(1, 4).requires_grad_()
    loss = losses.ranking_losses(scores, tensor(RANKS[2:3]), tensor(PRESENT[2:3]))
    loss.sum().backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert (scores.grad == 0).all()


def test_ranking_loss_of_equal_scores_is_log_two_for_any_k() -> None:
    for k in (2, 4, 9):
        loss = losses.ranking_losses(torch.zeros(1, k), torch.arange(k).unsqueeze(0), torch.ones(1, k))
        assert loss.item() == pytest.approx(math.log(2))


def test_a_constant_on_all_scores_changes_no_ranking_loss() -> None:
    scores = noise(4, 4, seed=5)
    before, after = (losses.ranking_losses(s, tensor(RANKS), tensor(PRESENT)) for s in (scores, scores + 7.5))
    assert_same(before, after, within=1e-12)


def test_rewards_are_the_kl_price_and_the_score_on_the_last_token() -> None:
    logp, ref, score, mask = noise(B, R, seed=1), noise(B, R, seed=2), noise(B, seed=3), ragged_mask()
    found = losses.token_rewards(logp, ref, score, mask, 0.05)
    assert_same(found, oracles.token_rewards(logp.numpy(), ref.numpy(), score.numpy(), LENGTHS, 0.05))
    assert_same(found.sum(1), score - 0.05 * ((logp - ref) * mask).sum(1))


def test_rewards_by_hand() -> None:
    found = losses.token_rewards(
        tensor([[-1.0, -2.0, 9.0]]), tensor([[-1.5, -1.0, 0.0]]), tensor([3.0]), tensor([[1, 1, 0]]), 0.1
    )
    assert_same(found, [[-0.05, 3.1, 0.0]], within=1e-6)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (1.0, 0.0)])
def test_advantages_equal_their_definition(gamma: float, lam: float) -> None:
    rewards, values, mask = noise(B, R, seed=4), noise(B, R, seed=5), ragged_mask()
    advantages, returns = losses.advantages(rewards, values, mask, gamma=gamma, lam=lam)
    expected, expected_returns = oracles.gae(rewards.numpy(), values.numpy(), LENGTHS, gamma, lam)
    assert_same(advantages, expected)
    assert_same(returns, expected_returns)


def test_advantages_by_hand() -> None:
    # delta = [0 + 0.5 - 1, 2 + 0 - 0.5] = [-0.5, 1.5]; A = [-0.5 + 0.95 * 1.5, 1.5]; the third token is padding.
    rewards, values = tensor([[0.0, 2.0, 99.0]]), tensor([[1.0, 0.5, 99.0]])
    advantages, returns = losses.advantages(rewards, values, tensor([[1, 1, 0]]), gamma=1.0, lam=0.95)
    assert_same(advantages, [[0.925, 1.5, 0.0]], within=1e-6)
    assert_same(returns, [[1.925, 2.0, 0.0]], within=1e-6)


def test_nothing_under_padding_reaches_an_advantage() -> None:
    rewards, values, mask = noise(B, R, seed=4), noise(B, R, seed=5), ragged_mask()
    dirty_rewards, dirty_values = (
        torch.where(mask.bool(), x, torch.full_like(x, math.nan)) for x in (rewards, values)
    )
    clean = losses.advantages(rewards, values, mask, gamma=1.0, lam=0.95)
    found = losses.advantages(dirty_rewards, dirty_values, mask, gamma=1.0, lam=0.95)
    for a, b in zip(clean, found, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shift_mean", [True, False])
def test_whitening(shift_mean: bool) -> None:
    x, mask = noise(B, R, seed=6, scale=4) + 2, ragged_mask()
    assert_same(
        losses.whiten(x, mask, shift_mean=shift_mean),
        oracles.whiten(x.numpy(), mask.numpy(), shift_mean=shift_mean),
    )


def test_policy_loss_and_its_gradient() -> None:
    new, old, advantage = noise(40, seed=7, scale=0.4), noise(40, seed=8, scale=0.4), noise(40, seed=9)
    expected = [
        oracles.policy_loss(*three, 0.2)
        for three in zip(new.tolist(), old.tolist(), advantage.tolist(), strict=True)
    ]
    assert_same(losses.policy_losses(new, old, advantage, clip=0.2), expected)
    assert_gradient(lambda x: losses.policy_losses(x, old, advantage, clip=0.2).sum(), new)


def test_the_dual_clip_bounds_what_a_runaway_ratio_costs() -> None:
    """1912.09729, Eq. 5. Beyond the bound there is no gradient; where the advantage is positive nothing changes."""
    new, old, advantage = noise(40, seed=7, scale=2.0), noise(40, seed=8, scale=0.4), noise(40, seed=9)
    expected = [
        oracles.policy_loss(*three, 0.2, 3.0)
        for three in zip(new.tolist(), old.tolist(), advantage.tolist(), strict=True)
    ]
    bounded = ((new - old).exp() > 3) & (advantage < 0)
    assert bounded.any()
    assert_same(losses.policy_losses(new, old, advantage, clip=0.2, dual_clip=3.0), expected)
    assert_gradient(lambda x: losses.policy_losses(x, old, advantage, clip=0.2, dual_clip=3.0).sum(), new)
    leaf = new.clone().requires_grad_()
    losses.policy_losses(leaf, old, advantage, clip=0.2, dual_clip=3.0).sum().backward()
    assert leaf.grad is not None
    assert not leaf.grad[bounded].any()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.0, 2.0, -2.0), (1.5, 1.0, -1.2), (1.5, -1.0, 1.5), (0.5, 1.0, -0.5), (0.5, -1.0, 0.8)],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, loss: float) -> None:
    found = losses.policy_losses(tensor([math.log(ratio)]), tensor([0.0]), tensor([advantage]), clip=0.2)
    assert found.item() == pytest.approx(loss, abs=1e-6)


def test_value_loss_and_its_gradient() -> None:
    new, old, target = noise(40, seed=10), noise(40, seed=11), noise(40, seed=12)
    expected = [
        oracles.value_loss(*three, 0.2)
        for three in zip(new.tolist(), old.tolist(), target.tolist(), strict=True)
    ]
    assert_same(losses.value_losses(new, old, target, clip=0.2), expected)
    assert_gradient(lambda x: losses.value_losses(x, old, target, clip=0.2).sum(), new)


def test_both_kl_estimators_have_the_kl_as_their_mean() -> None:
    p, q = noise(6, seed=13).log_softmax(-1), noise(6, seed=14).log_softmax(-1)
    exact = float((p.exp() * (p - q)).sum())
    assert float((p.exp() * losses.kl_k1(p, q)).sum()) == pytest.approx(exact)
    assert float((p.exp() * losses.kl_k3(p, q)).sum()) == pytest.approx(exact)
    assert (losses.kl_k3(p, q) >= 0).all()


def test_explained_variance() -> None:
    returns, mask = noise(B, R, seed=15), ragged_mask()
    assert float(losses.explained_variance(returns + 3, returns, mask)) == pytest.approx(1)
    assert float(losses.explained_variance(torch.zeros_like(returns), returns, mask)) == pytest.approx(
        0, abs=1e-9
    )


def test_the_adaptive_kl_price() -> None:
    prices = [0.2]
    for kl in (12.0, 6.0, 6.6, 0.0):
        prices.append(losses.next_kl_coef(prices[-1], kl, target=6.0, episodes=512, horizon=10_000))
    steps = [1 + e * 512 / 10_000 for e in (0.2, 0.0, 0.1, -0.2)]
    assert prices == pytest.approx([0.2, *np.cumprod(steps) * 0.2])
