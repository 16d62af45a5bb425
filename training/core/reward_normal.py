"""Where the zero of a reward model's scores lies, and how far apart they are.

Rankings teach differences alone, so both are free. InstructGPT (2203.02155, 3.5) moves scores so that demonstrations have
mean 0; Ziegler et al. (1909.08593, 2.1; set_reward_norm in lm-human-preferences) give answers of the model that training
starts from mean 0 and deviation 1, before training and after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.models import ScalarModel, last_real
from training.core.config import RewardConfig
from training.core.data import (
    Dropped,
    Prompt,
    Ranking,
    add_dropped,
    make_room,
    read_demonstrations,
    require_some,
)
from training.core.errors import RunError
from training.core.loop import evaluating, micro_batches, pad, stream_seed
from training.core.parallel import world
from training.core.reward_measure import scores_by_ranking
from training.core.rollout import check_scores, sample
from training.core.run_folder import Run
from training.core.stage import vocabulary_of


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the answers are sampled."""

    max_new_tokens: int
    ignore_eos: bool = False


def sampled_answers(
    run: Run,
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[Ranking],
    cfg: RewardConfig,
    limit: int,
    dropped: Dropped,
) -> list[list[int]]:
    """`normalize_samples` answers to the rankings' prompts in turn, as prompt + answer ids, the same in every attempt;
    none where demonstrations are the zero. Counts `normalize_prompts_too_long`: no room for normalize_tokens."""
    if cfg.normalize != "samples":
        return []
    asked = list(dict.fromkeys(row.prompt for row in rankings))
    room = limit - cfg.normalize_tokens
    fitting = [Prompt(str(n), [], list(ids)) for n, ids in enumerate(asked) if len(ids) <= room]
    too_long = Dropped("prompts_too_long" for ids in asked if len(ids) > room)
    remedy = make_room("normalize_tokens", limit)
    require_some(fitting, "prompts that leave room for normalize_tokens", too_long, remedy)
    add_dropped(dropped, too_long, "normalize")
    prompts = [fitting[n % len(fitting)] for n in range(cfg.normalize_samples)]
    drawing, seed = Drawing(cfg.normalize_tokens), stream_seed(run.seed, "normalize")
    rollout = sample(policy, tokenizer, prompts, drawing, seed)
    return [rollout.sequence(n) for n in range(len(prompts))]


@torch.no_grad()
def standardize(model: ScalarModel, answers: Sequence[list[int]], budget: int) -> float:
    """Scale the head and set the shift so that these answers score mean 0 and deviation 1; returns the gain.

    gain = 1 / old deviation, bias = -gain x old mean (set_reward_norm). The head has no bias, so the gain is in its weights.
    """
    scores_N = raw_scores(model, answers, budget)
    check_scores(scores_N)
    mean, spread = float(scores_N.mean()), float(scores_N.std(correction=0))
    if spread <= 1e-6 * max(abs(mean), 1.0):
        raise RunError(
            "no_spread",
            "All answers sampled to normalise on have one score.",
            "Raise normalize_samples or normalize_tokens, or set normalize to demonstrations.",
        )
    model.score.weight.mul_(1 / spread)
    model.shift = mean / spread
    return 1 / spread


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
        scores, _ = scores_by_ranking(model, train, cfg, shared=shared)
        return sum(map(sum, scores)) / sum(map(len, scores))
    counts = Dropped()
    vocabulary = vocabulary_of(model.backbone)
    demos = read_demonstrations(
        run.input("demonstrations"), "train.jsonl", tokenizer, limit, vocabulary, counts
    )
    add_dropped(dropped, counts, "demonstrations")
    require_some(demos, "demonstrations to normalise on", counts)
    return float(raw_scores(model, [demo.ids for demo in demos], cfg.micro_batch_tokens).mean())


def raw_scores(model: ScalarModel, answers: Sequence[list[int]], budget: int) -> Tensor:
    """Raw scores (before any shift) of prompt + answer ids, (N,) in float64; every rank gets all."""
    scores_N = torch.zeros(len(answers), dtype=torch.float64, device=model.score.weight.device)
    with evaluating(model):
        mine = world.share(range(len(answers)), lambda i: len(answers[i]))
        for part in micro_batches(mine, lambda i: (1, len(answers[i])), budget):
            ids, mask = pad([answers[i] for i in part], scores_N.device)
            scores_N[part] = model(ids, mask).gather(1, last_real(mask)).squeeze(1).double()
    world.add_up(scores_N)
    return scores_N
