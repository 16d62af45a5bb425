"""Scores of whole rankings and their loss, with prompts read once for all their answers or once for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from inference.engine.models import ScalarModel, last_real
from training.core.config import RewardConfig
from training.core.data import Ranking
from training.core.errors import RunError
from training.core.loop import autocast, pad
from training.core.losses import centring_losses, gap_margins, ranking_losses
from training.core.reward_batches import Layout, layout_of, parts_of
from training.core.shared_prefix import misfit, shared_scores

# B rankings, K the most answers of one here; N different answers

SCORE_TOLERANCE = {False: 1e-4, True: 5e-2}
GRADIENT_TOLERANCE = {False: 1e-3, True: 1e-1}
"""How far sharing may be from plain rows, without and with bfloat16: the scores' largest difference over their largest
size (at least 1), and the length of the gradients' difference over the gradient's. In float32 they come to 1e-6."""


class Scored(NamedTuple):
    """B rankings, each (B, K): raw scores, ranks, which places are filled, and levels that margins come from."""

    scores: Tensor
    ranks: Tensor
    present: Tensor
    levels: Tensor
    tokens: int  # real ones that passed the backbone


def scores_of(
    model: ScalarModel, rows: Sequence[Ranking], cfg: RewardConfig, *, shared: bool = False
) -> Scored:
    """Every different answer goes through the model once, whatever the number of pairs and rankings it is in."""
    device = model.score.weight.device
    layout = layout_of(rows)
    with autocast(device, enabled=cfg.autocast_bf16):
        flat_N = _shared(model, layout) if shared else _plain(model, layout)
    width = max(map(len, layout.places))
    place_BK = torch.tensor([[*row, *[0] * (width - len(row))] for row in layout.places], device=device)
    count_B1 = torch.tensor([[len(row)] for row in layout.places], device=device)
    present_BK = torch.arange(width, device=device) < count_B1
    scores_BK = torch.where(present_BK, flat_N[place_BK], flat_N.new_zeros(()))
    ranks_BK = _table([row.ranks for row in rows], width).long().to(device)
    levels_BK = _table([_levels(row, cfg) for row in rows], width).to(device)
    return Scored(scores_BK, ranks_BK, present_BK, levels_BK, layout.tokens(shared=shared))


def _shared(model: ScalarModel, layout: Layout) -> Tensor:
    answers = [(owner, layout.cut(n)) for n, (owner, _) in enumerate(layout.answers)]
    return shared_scores(model, layout.prompts, answers)


def _plain(model: ScalarModel, layout: Layout) -> Tensor:
    ids_NT, mask_NT = pad([ids for _, ids in layout.answers], model.score.weight.device)
    values_NT: Tensor = model(ids_NT, mask_NT)
    return values_NT.gather(1, last_real(mask_NT)).squeeze(1)


def _table(rows: Sequence[Sequence[float]], width: int) -> Tensor:
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])


def _levels(row: Ranking, cfg: RewardConfig) -> list[float]:
    """Where each answer stands on the scale of the margins, from good to bad; NaN where its labeler did not say."""
    if cfg.margin_by == "rank_distance":
        return [float(rank) for rank in row.ranks]
    ratings = row.ratings or [None] * len(row.ranks)
    return [math.nan if rating is None else -rating for rating in ratings]


def losses_of(scored: Scored, cfg: RewardConfig) -> Tensor:
    """The loss of each ranking, (B,), without its weight."""
    margins = gap_margins(scored.levels, cfg.margin) if cfg.margin else None
    three = scored.scores, scored.ranks, scored.present
    losses_B = ranking_losses(*three, ties=cfg.ties, margins_BKK=margins)
    if cfg.centering:
        losses_B = losses_B + cfg.centering * centring_losses(*three, ties=cfg.ties)
    return losses_B


def weighted_loss(scored: Scored, rows: Sequence[Ranking], cfg: RewardConfig, whole: int) -> Tensor:
    """Sum of weight x loss over these rankings, divided by the number of rankings of the whole batch."""
    weights_B = torch.tensor([row.weight for row in rows], device=scored.scores.device)
    return (losses_of(scored, cfg) * weights_B).sum() / whole


class Sharing(NamedTuple):
    """Whether prompts are shared, and how far that was from plain rows where both were computed."""

    used: bool
    reason: str = ""  # why not
    score_error: float | None = None
    gradient_error: float | None = None


def choose_way(
    model: ScalarModel, batch: Sequence[Ranking], cfg: RewardConfig, longest: int, *, held: float | None
) -> Sharing:
    """Share prompts where the model allows it and the first batch's scores and gradients come out as without sharing.

    held: what an earlier attempt of this run decided, for good: another way would give other bits. RunError `shared_prefix` where the setting is on
    and sharing is not right.
    """
    if cfg.shared_prefix == "off":
        return Sharing(used=False, reason="switched off")
    if cfg.gradient_checkpointing and cfg.shared_prefix == "auto":
        return Sharing(used=False, reason="gradient_checkpointing keeps no keys and values")
    if held is not None:
        differs = "an earlier attempt of this run found that it differs"
        return Sharing(used=bool(held), reason="" if held else differs)
    reason = misfit(model, longest)
    found = Sharing(used=False, reason=reason) if reason else _compared(model, batch, cfg)
    if cfg.shared_prefix == "on" and not found.used:
        raise RunError(
            "shared_prefix",
            f"Prompts cannot be shared: {found.reason}.",
            "Set shared_prefix to auto or off: every answer is then read with its own copy of the prompt.",
        )
    return found


def _compared(model: ScalarModel, batch: Sequence[Ranking], cfg: RewardConfig) -> Sharing:
    try:
        score_error, gradient_error = difference(model, batch, cfg)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError) as wrong:  # What it raises hangs on the architecture.
        model.zero_grad(set_to_none=True)
        return Sharing(used=False, reason=f"this architecture takes no shared prompt ({wrong})")
    half = cfg.autocast_bf16
    if score_error <= SCORE_TOLERANCE[half] and gradient_error <= GRADIENT_TOLERANCE[half]:
        return Sharing(used=True, score_error=score_error, gradient_error=gradient_error)
    reason = (
        f"scores differ by {score_error:.1e} and gradients by {gradient_error:.1e} from those of plain rows"
    )
    return Sharing(used=False, reason=reason, score_error=score_error, gradient_error=gradient_error)


def difference(model: ScalarModel, batch: Sequence[Ranking], cfg: RewardConfig) -> tuple[float, float]:
    """(largest difference of a score over the largest score or 1, length of the gradients' difference over the gradient's).

    Gradients of the plain way are taken off those of the shared one where they lie, so no second copy is held.
    """
    scores: dict[bool, list[Tensor]] = {}
    lengths = []
    model.zero_grad(set_to_none=True)
    # One division into parts for both, so that the same rankings stand in the same places.
    parts = [[batch[i] for i in part] for part in parts_of(batch, cfg.micro_batch_tokens, shared=False)]
    for shared, sign in ((True, 1), (False, -1)):
        scores[shared] = []
        for rows in parts:
            scored = scores_of(model, rows, cfg, shared=shared)
            torch.autograd.backward(sign * weighted_loss(scored, rows, cfg, len(batch)))
            scores[shared].append(scored.scores.detach()[scored.present])
        lengths.append(_gradient_length(model))
    model.zero_grad(set_to_none=True)
    one, other = torch.cat(scores[True]), torch.cat(scores[False])
    error = float((one - other).abs().max()) / max(1.0, float(other.abs().max()))
    return error, lengths[1] / max(lengths[0], 1e-12)


def _gradient_length(model: nn.Module) -> float:
    return float(nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))
