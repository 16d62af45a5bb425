"""The reward model's loss on whole rankings."""

from __future__ import annotations

from torch import Tensor, eye, where, zeros_like
from torch.nn.functional import logsigmoid

from training.core.losses.tokens import precise


def _both(present_BK: Tensor) -> Tensor:
    return present_BK.unsqueeze(2).bool() & present_BK.unsqueeze(1).bool()


def kept_pairs(ranks_BK: Tensor, present_BK: Tensor) -> Tensor:
    """(B, K, K) true where answer i was ranked strictly better than j. Ties make no pair (InstructGPT C.2)."""
    return (ranks_BK.unsqueeze(2) < ranks_BK.unsqueeze(1)) & _both(present_BK)


def tied_pairs(ranks_BK: Tensor, present_BK: Tensor) -> Tensor:
    """(B, K, K) true where two different answers i and j are tied: each pair stands there both ways round."""
    tied = (ranks_BK.unsqueeze(2) == ranks_BK.unsqueeze(1)) & _both(present_BK)
    return tied & ~eye(ranks_BK.shape[1], dtype=tied.dtype, device=tied.device)


def pair_weights(ranks_BK: Tensor, present_BK: Tensor, *, ties: str = "drop") -> Tensor:
    """(B, K, K): 1 for each kept pair; with ties "half", 1/2 for each direction of a tied one. In float32."""
    kept = kept_pairs(ranks_BK, present_BK).float()
    return kept + 0.5 * tied_pairs(ranks_BK, present_BK) if ties == "half" else kept


def ranking_losses(
    scores_BK: Tensor,
    ranks_BK: Tensor,
    present_BK: Tensor,
    *,
    ties: str = "drop",
    margins_BKK: Tensor | None = None,
) -> Tensor:
    """InstructGPT Eq. 1 for each ranking, (B,): mean of -log sigmoid(r_i - r_j - m_ij) over its pairs, i the better.

    Divided by the pairs of the ranking itself, so that K = 9 with 36 pairs weighs as much as K = 4 with 6. A tied pair
    makes no pair, or with ties "half" the pair -(log sigmoid(d) + log sigmoid(-d)) / 2, least where both score alike;
    it has no margin. A ranking without any pair gives 0.
    """
    scores_BK = precise(scores_BK)
    lead_BKK = scores_BK.unsqueeze(2) - scores_BK.unsqueeze(1)
    if margins_BKK is not None:
        kept = kept_pairs(ranks_BK, present_BK)
        lead_BKK = lead_BKK - where(kept, margins_BKK.to(lead_BKK.dtype), zeros_like(lead_BKK))
    return _mean_over_pairs(-logsigmoid(lead_BKK), pair_weights(ranks_BK, present_BK, ties=ties))


def centring_losses(scores_BK: Tensor, ranks_BK: Tensor, present_BK: Tensor, *, ties: str = "drop") -> Tensor:
    """Mean of (r_i + r_j)^2 over the pairs of each ranking, (B,): holds scores near 0 (2312.09244, Eq. 2)."""
    scores_BK = precise(scores_BK)
    level_BKK = scores_BK.unsqueeze(2) + scores_BK.unsqueeze(1)
    return _mean_over_pairs(level_BKK**2, pair_weights(ranks_BK, present_BK, ties=ties))


def gap_margins(levels_BK: Tensor, margin: float) -> Tensor:
    """(B, K, K): margin x how far answer i lies above j; 0 where it lies below, or where a level is unknown (NaN).

    Levels grow from good to bad, as ranks do.
    """
    gap_BKK = levels_BK.unsqueeze(1) - levels_BK.unsqueeze(2)
    return margin * gap_BKK.nan_to_num(nan=0.0).clamp(min=0)


def _mean_over_pairs(x_BKK: Tensor, weights_BKK: Tensor) -> Tensor:
    # where() and not a product: a score under an empty place may be anything.
    held = where(weights_BKK > 0, x_BKK, zeros_like(x_BKK)) * weights_BKK
    return held.sum((1, 2)) / weights_BKK.sum((1, 2)).clamp(min=1)
