"""The reward model's loss on whole rankings."""

from __future__ import annotations

from torch import Tensor, where, zeros_like
from torch.nn.functional import logsigmoid

from training.core.losses.tokens import precise


def kept_pairs(ranks_BK: Tensor, present_BK: Tensor) -> Tensor:
    """(B, K, K) true where answer i was ranked strictly better than j. Ties make no pair (InstructGPT C.2)."""
    better = ranks_BK.unsqueeze(2) < ranks_BK.unsqueeze(1)
    return better & present_BK.unsqueeze(2).bool() & present_BK.unsqueeze(1).bool()


def ranking_losses(scores_BK: Tensor, ranks_BK: Tensor, present_BK: Tensor) -> Tensor:
    """InstructGPT Eq. 1 for each ranking, (B,): mean of -log sigmoid(r_i - r_j) over its kept pairs, i the better.

    Divided by the pairs of the ranking itself, so that K = 9 with 36 pairs weighs as much as K = 4 with 6. A ranking
    where all is tied gives 0.
    """
    scores_BK = precise(scores_BK)
    pairs = kept_pairs(ranks_BK, present_BK)
    loss_BKK = -logsigmoid(scores_BK.unsqueeze(2) - scores_BK.unsqueeze(1))
    total_B = where(pairs, loss_BKK, zeros_like(loss_BKK)).sum((1, 2))
    return total_B / pairs.sum((1, 2)).clamp(min=1)
