"""What a reward model is measured by on rankings it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inference.engine.models import ScalarModel
from training.core.config import RewardConfig
from training.core.data import Ranking
from training.core.loop import Numbers, check_finite, evaluating
from training.core.parallel import world
from training.core.ranking_quality import quality
from training.core.reward_batches import parts_of, share_of
from training.core.reward_report import Judged, reward_report
from training.core.reward_scores import losses_of, scores_of


def held_out(
    model: ScalarModel, rows: Sequence[Ranking], cfg: RewardConfig, *, shared: bool = False
) -> Numbers:
    """Loss, accuracy (also by rank distance), calibration and Kendall's tau on the validation rankings."""
    if not rows:
        return {}
    scores, loss = scores_by_ranking(model, rows, cfg, shared=shared)
    check_finite(loss, "reward/valid_loss")
    pairs = [(scores[i], row.ranks) for i, row in enumerate(rows)]
    return {"reward/valid_loss": loss / len(rows), **quality(pairs)}


def scores_by_ranking(
    model: ScalarModel, rows: Sequence[Ranking], cfg: RewardConfig, *, shared: bool
) -> tuple[list[list[float]], float]:
    """Raw scores of each ranking's answers, in the order of `rows`, and the summed loss."""
    own = share_of(rows)
    mine = [rows[i] for i in own]
    scores: dict[str, list[float]] = {}  # by place in `rows`, as JSON names it
    loss = 0.0
    with evaluating(model):
        for part in parts_of(mine, cfg.micro_batch_tokens, shared=shared):
            scored = scores_of(model, [mine[i] for i in part], cfg, shared=shared)
            loss += float(losses_of(scored, cfg).sum())
            for i, scores_K in zip(part, scored.scores, strict=True):
                scores[str(own[i])] = scores_K[: len(mine[i].ranks)].tolist()
    found = {i: one for of_rank in world.gather(scores) for i, one in of_rank.items()}
    return [found[str(i)] for i in range(len(rows))], world.sum({"loss": loss})["loss"]


def report_on(
    model: ScalarModel,
    train: Sequence[Ranking],
    valid: Sequence[Ranking],
    cfg: RewardConfig,
    limit: int,
    *,
    heldout_labelers: Sequence[Ranking] = (),
    shared: bool,
    seen_in_training: int,
) -> dict[str, Any] | None:
    """The report on rankings that nothing learned from (reward_report.py); None where there are none."""
    if not valid and not heldout_labelers:
        return None
    swapped = under_other_prompts(valid, limit)
    scores, _ = scores_by_ranking(model, valid, cfg, shared=shared)
    blind, _ = scores_by_ranking(model, swapped, cfg, shared=shared)
    others, _ = scores_by_ranking(model, heldout_labelers, cfg, shared=shared)
    return reward_report(
        [_judged(row, scores[i]) for i, row in enumerate(valid)],
        [_judged(row, blind[i]) for i, row in enumerate(swapped)],
        [_judged(row) for row in train],
        heldout_labelers=[_judged(row, others[i]) for i, row in enumerate(heldout_labelers)],
        seen_in_training=seen_in_training,
    )


def _judged(row: Ranking, scores: Sequence[float] = ()) -> Judged:
    answers = [tuple(ids) for ids in row.answers]
    return Judged(row.ranks, answers, scores, row.labeler, row.confidence, row.versions or ())


def under_other_prompts(rows: Sequence[Ranking], limit: int) -> list[Ranking]:
    """Each ranking with the prompt of the next one (round and round) that has another prompt and fits; else left out.

    All answers of a ranking get the same foreign prompt, so what is compared is their wording alone.
    """
    prompts = list(dict.fromkeys(row.prompt for row in rows))
    place = {prompt: i for i, prompt in enumerate(prompts)}
    swapped = []
    for row in rows:
        cut = [ids[row.prompt_tokens :] for ids in row.answers]
        room = limit - max(map(len, cut))
        at = place[row.prompt]
        others = (other for other in prompts[at + 1 :] + prompts[:at] if len(other) <= room)
        if (other := next(others, None)) is not None:
            answers = [[*other, *ids] for ids in cut]
            swapped.append(replace(row, answers=answers, prompt_tokens=len(other)))
    return swapped
