"""Rollouts of PPO, RLOO and DPO's distance: from which distribution answers are drawn, and on what a draw hangs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from inference.engine.models import load_policy
from tests.training.core.rundirs import prompts, write_rows
from training.core.config import PPOConfig
from training.core.data import Dropped, Prompt, read_prompts
from training.core.errors import RunError
from training.core.rollout import check_drawn, sample


def test_an_answer_hangs_on_its_prompts_id_and_not_on_its_place(base: Path) -> None:
    """The prompts of an iteration in any order, some asked twice: the n-th answer to a prompt stays what it is."""
    policy, tokenizer = load_policy(base)
    cfg = PPOConfig(max_new_tokens=6)
    five = [Prompt(f"p{i}", [], [0, 7 + i, 9]) for i in (0, 1, 2, 1, 3)]
    drawn = [
        sample(policy, tokenizer, asked, cfg, seed=3).answers
        for asked in (five, [five[i] for i in (4, 1, 2, 3, 0)])
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


def test_one_id_has_one_prompt(base: Path, tmp_path: Path) -> None:
    """Answers are drawn by the prompt's id: under one of two prompts they would be learned for the other."""
    _, tokenizer = load_policy(base)
    one, other = prompts(2)

    def read(*rows: dict[str, Any]) -> list[Prompt]:
        write_rows(tmp_path / "train.jsonl", list(rows))
        return read_prompts(tmp_path, "train.jsonl", tokenizer, 96, Dropped())

    assert len(read(one, other, one)) == 3
    for ids in (("p", "p"), (1, "1")):
        with pytest.raises(RunError, match=r"train\.jsonl line 2 has the id .* of another prompt"):
            read(one | {"id": ids[0]}, other | {"id": ids[1]})


def test_answers_of_another_distribution_are_not_learned_from() -> None:
    """Rounding is let pass; in bfloat16 the sampler and the trainer may differ by more."""
    check_drawn({"engine_logprob_error": 1e-3}, PPOConfig())
    check_drawn({"engine_logprob_error": 0.2}, PPOConfig(autocast_bf16=True))
    with pytest.raises(RunError, match=r"0\.2 nats apart"):
        check_drawn({"engine_logprob_error": 0.2}, PPOConfig())
