"""What a reward model is measured by on rankings it does not learn from, and where the zero of its scores lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inference.engine.models import ScalarModel, last_real
from training.core.config import RewardConfig
from training.core.data import Dropped, Ranking, add_dropped, read_demonstrations, require_some
from training.core.loop import Numbers, check_finite, evaluating, micro_batches, pad
from training.core.parallel import world
from training.core.ranking_quality import quality
from training.core.reward_batches import parts_of, share_of
from training.core.reward_report import Judged, reward_report
from training.core.reward_scores import losses_of, scores_of
from training.core.run_folder import Run


def held_out(
    model: ScalarModel, rows: Sequence[Ranking], cfg: RewardConfig, *, shared: bool = False
) -> Numbers:
    """Loss, accuracy (also by rank distance), calibration and Kendall's tau on the validation rankings."""
    if not rows:
        return {}
    scores, loss = _scored(model, rows, cfg, shared=shared)
    check_finite(loss, "reward/valid_loss")
    pairs = [(scores[i], row.ranks) for i, row in enumerate(rows)]
    return {"reward/valid_loss": loss / len(rows), **quality(pairs)}


def _scored(
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
    shared: bool,
    seen_in_training: int,
) -> dict[str, Any] | None:
    """The report on validation rankings (reward_report.py); None where there are none."""
    if not valid:
        return None
    swapped = under_other_prompts(valid, limit)
    scores, _ = _scored(model, valid, cfg, shared=shared)
    blind, _ = _scored(model, swapped, cfg, shared=shared)
    return reward_report(
        [_judged(row, scores[i]) for i, row in enumerate(valid)],
        [_judged(row, blind[i]) for i, row in enumerate(swapped)],
        [_judged(row) for row in train],
        seen_in_training=seen_in_training,
    )


def _judged(row: Ranking, scores: Sequence[float] = ()) -> Judged:
    answers = [tuple(ids) for ids in row.answers]
    return Judged(row.ranks, answers, scores, row.labeler, row.confidence)


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


def normal_shift(
    run: Run,
    model: ScalarModel,
    tokenizer: Any,
    train: Sequence[Ranking],
    cfg: RewardConfig,
    limit: int,
    dropped: Dropped,
    *,
    shared: bool = False,
) -> float:
    """Mean raw score over the demonstrations, or over the training answers where no demonstrations are given."""
    if "demonstrations" not in run.inputs:
        scores, _ = _scored(model, train, cfg, shared=shared)
        return sum(map(sum, scores)) / sum(map(len, scores))
    counts = Dropped()
    demos = read_demonstrations(run.input("demonstrations"), "train.jsonl", tokenizer, limit, counts)
    add_dropped(dropped, counts, "demonstrations")
    require_some(demos, "demonstrations to normalise on", counts)
    return mean_score(model, [demo.ids for demo in demos], cfg.micro_batch_tokens)


def mean_score(model: ScalarModel, answers: Sequence[list[int]], budget: int) -> float:
    """Mean of the raw scores (before any shift) of prompt + answer ids."""
    total = 0.0
    with evaluating(model):
        mine = world.share(range(len(answers)), lambda i: len(answers[i]))
        for part in micro_batches(mine, lambda i: (1, len(answers[i])), budget):
            ids, mask = pad([answers[i] for i in part], model.score.weight.device)
            total += float(model(ids, mask).gather(1, last_real(mask)).double().sum())
    return world.sum({"score": total})["score"] / len(answers)
