"""Learning from preferences without a reward model (DPO), and what the best of n answers is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, where, zeros_like
from torch.nn.functional import logsigmoid

from training.core.losses.ranking import kept_pairs
from training.core.losses.tokens import precise


def implicit_rewards(
    logp_BK: Tensor, ref_logp_BK: Tensor, *, beta: float, tokens_BK: Tensor | None = None
) -> Tensor:
    """beta x log(policy / reference) of whole answers, (B, K): the reward whose optimum this policy is, up to a constant
    of the prompt (2305.18290 Eq. 5). With `tokens_BK` the log-ratio is divided by the answer's length."""
    log_ratio_BK = precise(logp_BK) - precise(ref_logp_BK)
    return beta * (log_ratio_BK if tokens_BK is None else log_ratio_BK / tokens_BK.clamp(min=1))


def preference_losses(
    rewards_BK: Tensor, ranks_BK: Tensor, present_BK: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    """DPO for each ranking, (B,): mean of -log sigmoid(r_i - r_j) over its kept pairs, i the better (2305.18290 Eq. 7).

    Ties make no pair, and each ranking weighs the same whatever its K, as in the reward model's loss. With
    label_smoothing e a pair counts (1 - e) as it is and e the other way round (conservative DPO, Mitchell 2023).
    """
    rewards_BK = precise(rewards_BK)
    pairs = kept_pairs(ranks_BK, present_BK)
    # Masked before the logarithm too: what stands in an empty place must not get into a gradient as NaN * 0.
    margin_BKK = (rewards_BK.unsqueeze(2) - rewards_BK.unsqueeze(1)).masked_fill(~pairs, 0.0)
    loss_BKK = -(1 - label_smoothing) * logsigmoid(margin_BKK) - label_smoothing * logsigmoid(-margin_BKK)
    total_B = where(pairs, loss_BKK, zeros_like(loss_BKK)).sum((1, 2))
    return total_B / pairs.sum((1, 2)).clamp(min=1)


def plackett_luce_losses(rewards_BK: Tensor, ranks_BK: Tensor, present_BK: Tensor) -> Tensor:
    """K-wise DPO for each ranking, (B,): mean over its choices of -log(exp r_i / sum of exp r_j), j being i and all that
    rank below it (2305.18290 Eq. 20, divided by the K - 1 choices so that every ranking weighs the same).

    Tied answers do not compete: each is chosen from itself and those ranked below it. By Luce's axiom that is the exact
    probability of this choice in the Plackett-Luce model, and nothing is said of the order within a tie. Without ties
    the product of the choices is the likelihood of the whole ranking; with K = 2 it is the pair loss.
    """
    rewards_BK = precise(rewards_BK)
    below = kept_pairs(ranks_BK, present_BK)
    # The chosen one stands in its own sum, so the loss is log(1 + sum of exp(r_j - r_i) over those below).
    gaps_BKK = (rewards_BK.unsqueeze(1) - rewards_BK.unsqueeze(2)).masked_fill(~below, -math.inf)
    chosen = below.any(2)
    gaps_BKK = where(chosen.unsqueeze(2), gaps_BKK, zeros_like(gaps_BKK))
    loss_BK = -logsigmoid(-gaps_BKK.logsumexp(2))
    return where(chosen, loss_BK, zeros_like(loss_BK)).sum(1) / chosen.sum(1).clamp(min=1)


def best_of_n_kl(n: int) -> float:
    """log n - (n - 1) / n, in nats: the KL of best-of-n from the policy it draws from. Exact where no two answers score the
    same and each is unlikely, else a bound from above (2009.01325 appendix G.3; Beirami et al. 2401.01879)."""
    return math.log(n) - (n - 1) / n


def best_of_k_mean(scores: Sequence[float], k: int) -> float:
    """Mean score of the best of k answers, over all choices of k out of these n (k at most n): an unbiased estimate of
    what best-of-k would reach, from one draw of n (order statistics; Nakano et al. 2112.09332 appendix I)."""
    total, share = 0.0, k / len(scores)
    # The i-th smallest (from 0) is the best of comb(i, k - 1) of the comb(n, k) choices; the shares go down from the best.
    for i, score in zip(range(len(scores) - 1, k - 2, -1), sorted(scores, reverse=True), strict=False):
        total += share * score
        share *= (i - k + 1) / max(i, 1)
    return total
