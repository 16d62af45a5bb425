"""A task small enough to know everything about: 8 prompts, answers of 4 tokens out of 8, so 4,096 answers to each.

The best policy under E[reward] - beta x KL is pi* ~ reference x exp(reward / beta), and its value is beta x mean log Z.
Rewards, reference and schedule are fixed here by their seeds; nothing of them is chosen at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from inference.engine.models import load_policy
from training.core.data import Prompt

V, T, BETA = 8, 4, 0.2
PROMPTS = [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1), (1, 4), (2, 5)]
ANSWERS = torch.tensor(list(product(range(V), repeat=T)))  # (4096, 4)

SCHEDULE: dict[str, Any] = {
    "iterations": 60, "episodes": 128, "epochs": 4, "minibatches": 4, "max_new_tokens": T, "ignore_eos": True,
    "no_eos_reward": None, "kl_coef": BETA, "lr": 7e-4, "value_lr": 1e-3, "lr_schedule": "linear", "value_coef": 1.0,
    "save_every": 5, "keep_checkpoints": 100, "sample_every": 1000,
}  # fmt: skip

# Strictly on-policy, as in 2402.14740: 300 steps of 8 prompts x 8 answers.
RLOO_SCHEDULE: dict[str, Any] = {
    "iterations": 300, "episodes": 64, "samples_per_prompt": 8, "max_new_tokens": T, "ignore_eos": True,
    "no_eos_reward": None, "kl_coef": BETA, "lr": 1e-3, "lr_schedule": "linear", "save_every": 1000, "sample_every": 1000,
}  # fmt: skip


def write_model(path: Path, seed: int = 0) -> None:
    """The reference: a random GPT-2 whose next-token distributions are far from uniform, and a tokenizer of eight words."""
    backend = Tokenizer(models.WordLevel({f"w{i}": i for i in range(V)}, unk_token="w1"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    # Both special tokens are ordinary words of the task (sampling ignores EOS), so that there are 8 tokens and no more.
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="w7", pad_token="w0")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = GPT2Config(
        vocab_size=V, n_layer=2, n_embd=64, n_head=4, n_positions=8, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=7, pad_token_id=0, initializer_range=0.08,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def prompt_rows() -> list[dict[str, Any]]:
    return [
        {"id": str(x), "prompt": [{"role": "user", "content": " ".join(f"w{i}" for i in ids)}]}
        for x, ids in enumerate(PROMPTS)
    ]


def reward_table(seed: int = 0) -> Tensor:
    """(8, 4096): what a token is worth at its place for this prompt, and which neighbours fit; mean 0, deviation 0.65."""
    rng = np.random.default_rng(seed)
    place, neighbours = rng.normal(size=(len(PROMPTS), T, V)), rng.normal(size=(V, V))
    y = ANSWERS.numpy()
    table = sum(place[:, t, y[:, t]] for t in range(T)) + sum(
        neighbours[y[:, t], y[:, t + 1]] for t in range(T - 1)
    )
    assert isinstance(table, np.ndarray)
    return torch.tensor(0.65 * (table - table.mean()) / table.std())


class RewardTable:
    """The table as the reward function that train_ppo takes."""

    def __init__(self) -> None:
        self.table = reward_table()

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> list[float]:
        places = [sum(token * V ** (T - 1 - t) for t, token in enumerate(answer)) for answer in answers]
        return [
            float(self.table[int(prompt.id), place]) for prompt, place in zip(prompts, places, strict=True)
        ]


@torch.no_grad()
def log_policy(model: PreTrainedModel) -> Tensor:
    """(8, 4096) log-probability of every answer to every prompt, in float64."""
    # The last token of an answer is only foretold, so 512 beginnings tell about all 4,096 answers.
    beginnings = ANSWERS[::V, : T - 1]
    rows = []
    for ids in PROMPTS:
        full = torch.cat([torch.tensor(ids).expand(len(beginnings), -1), beginnings], 1)
        logp = (
            model(input_ids=full).logits[:, len(ids) - 1 :].double().log_softmax(-1).repeat_interleave(V, 0)
        )
        rows.append(logp.gather(-1, ANSWERS.unsqueeze(-1)).squeeze(-1).sum(1))
    return torch.stack(rows)


def expectations(logp: Tensor, log_ref: Tensor, table: Tensor) -> tuple[float, float]:
    """Exact mean reward and exact KL to the reference, over prompts."""
    return float((logp.exp() * table).sum(1).mean()), float((logp.exp() * (logp - log_ref)).sum(1).mean())


def best_objective(log_ref: Tensor, table: Tensor) -> float:
    return float(BETA * torch.logsumexp(log_ref + table / BETA, 1).mean())


def gap_closed(folder: Path) -> tuple[float, float, float]:
    """Exact (reward, KL, share of the way from the reference's objective to the best one) of folder/run/model."""
    log_ref, table = log_policy(load_policy(folder / "reference")[0]), reward_table()
    at_start, _ = expectations(log_ref, log_ref, table)
    reward, kl = expectations(log_policy(load_policy(folder / "run" / "model")[0]), log_ref, table)
    return reward, kl, (reward - BETA * kl - at_start) / (best_objective(log_ref, table) - at_start)


class Frontier:
    """The highest mean reward that any policy can have within so many nats of the reference.

    Its dual: the least over beta of beta x (kl + mean log Z(beta)), attained by reference x exp(reward / beta). A grid
    of beta, 2 % apart, can only overstate it.
    """

    def __init__(self, log_ref: Tensor, table: Tensor) -> None:
        self.betas = torch.logspace(-2, 2, 460, dtype=torch.float64)
        self.log_z = torch.stack([torch.logsumexp(log_ref + table / b, 1).mean() for b in self.betas])

    def reward(self, kl: float) -> float:
        return float((self.betas * (kl + self.log_z)).min())


def best_of(log_ref: Tensor, table: Tensor, n: float) -> tuple[float, float]:
    """Exact (mean reward, KL) of the best of n answers of the reference, by order statistics; n may be any number from 1."""
    rewards, order = table.sort(1)
    logp = log_ref.gather(1, order)
    up_to = logp.exp().cumsum(1).clamp(max=1.0)
    before = torch.cat([torch.zeros_like(up_to[:, :1]), up_to[:, :-1]], 1)
    # The best is answer y where all n are at most as good as y and not all are worse; no two rewards are equal.
    p = (up_to**n - before**n).clamp(min=1e-300)
    return float((p * rewards).sum(1).mean()), float((p * (p.log() - logp)).sum(1).mean())


def best_of_at(log_ref: Tensor, table: Tensor, kl: float) -> float:
    """Mean reward of the best of n answers where n is such that its KL is `kl`."""
    low, high = 1.0, 1e6
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if best_of(log_ref, table, middle)[1] < kl else (low, middle)
    return best_of(log_ref, table, low)[0]
