"""Rollouts of PPO, RLOO and DPO's distance: from which distribution answers are drawn, and on what a draw hangs."""

from __future__ import annotations

from pathlib import Path

import torch

from inference.engine.models import load_policy
from training.core.config import PPOConfig
from training.core.data import Prompt
from training.core.rollout import sample


def test_an_answer_hangs_on_its_prompts_id_and_not_on_its_place(base: Path) -> None:
    """The prompts of an iteration in any order, some asked twice: the n-th answer to a prompt stays what it is."""
    policy, tokenizer = load_policy(base)
    cfg = PPOConfig(max_new_tokens=6)
    prompts = [Prompt(f"p{i}", [], [0, 7 + i, 9]) for i in (0, 1, 2, 1, 3)]
    drawn = [
        sample(policy, tokenizer, asked, cfg, seed=3).answers
        for asked in (prompts, [prompts[i] for i in (4, 1, 2, 3, 0)])
    ]
    assert [drawn[1][i] for i in (4, 1, 2, 3, 0)] == drawn[0]
    assert drawn[0][1] != drawn[0][3]


def test_rollouts_follow_the_softmax(base: Path) -> None:
    """Chi-square of 4,000 first tokens that `sample` drew against the model's own probabilities: nothing is cut off."""
    policy, tokenizer = load_policy(base)
    prompt, cfg = Prompt("x", [], [7, 8, 9]), PPOConfig(max_new_tokens=1, ignore_eos=True)
    drawn = [answer[0] for answer in sample(policy, tokenizer, [prompt] * 4000, cfg, seed=1).answers]
    with torch.no_grad():
        expected = 4000 * policy(input_ids=torch.tensor([prompt.ids])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor(drawn), minlength=len(expected))
    chi, freedom = float(((counts - expected) ** 2 / expected).sum()), len(expected) - 1
    assert abs(chi - freedom) < 4 * (2 * freedom) ** 0.5
