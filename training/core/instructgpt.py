"""The preset "instructgpt": the published values, each with the place that it stands in. No torch.

`IG` is InstructGPT (2203.02155, version 1), for its 1.3B model where sizes differ. What it does not
print (Adam's epsilon, weight decay, clipping of gradients, lambda) comes from where it says, or stays at our default. Stages that it does not
have follow the paper named. Lengths of "1k" and "2k" are taken as 1000 and 2048.
"""

from __future__ import annotations

from typing import Any

Sourced = dict[str, tuple[Any, str]]
"""A stage's settings in a preset: name -> (value, where it comes from)."""

_RATE = "IG E.9: the largest of the rates scanned at which PPO without pretraining text did not diverge, as the one chosen is not printed"

_POLICY: Sourced = {
    "lr": (8.05e-6, _RATE),
    "lr_schedule": ("constant", "IG C.4"),
    "warmup_steps": (10, "IG C.4: 10 iterations, from a tenth of the peak"),
    "iterations": (500, "IG C.4: 256k episodes of 512 an iteration"),
    "episodes": (512, "IG C.4"),
    "max_new_tokens": (1000, "IG C: answers of at most 1k tokens"),
    "kl_coef": (0.02, "IG C.4"),
    "ema_decay": (0.992, "IG C.4"),
}

CITED: dict[str, Sourced] = {
    "pretrain": {
        "layers": (12, "GPT-3 small, 2005.14165, table 2.1"),
        "width": (768, "GPT-3 small, 2005.14165, table 2.1"),
        "heads": (12, "GPT-3 small, 2005.14165, table 2.1"),
        "lr": (6e-4, "GPT-3 small, 2005.14165, table 2.1"),
        "weight_decay": (0.1, "GPT-3, 2005.14165, B"),
        "max_grad_norm": (1.0, "GPT-3, 2005.14165, B"),
        "vocab_size": (50_257, "GPT-2, Radford et al. 2019, 2.3"),
        "context": (1024, "GPT-2, Radford et al. 2019, 2.3"),
        "batch_size": (64, "ours: 65 thousand tokens a step, for one GPU"),
        "steps": (100_000, "ours: 6.5 billion tokens"),
        "warmup_steps": (2000, "ours: 2 % of the steps"),
        "save_every": (1000, "ours: a hundred points on the curve"),
        "eval_every": (1000, "ours: a hundred points on the curve"),
        "sample_every": (1000, "ours: a hundred points on the curve"),
    },
    # The step that a reward model likes best is published there (3.5). A first round has none yet, so `select` is left to the run.
    "sft": {
        "lr": (9.65e-6, "IG C.1: 1.3B and 6B"),
        "lr_schedule": ("cosine", "IG C.1: to 10 % of the peak"),
        "warmup_steps": (0, "IG C.1: none"),
        "epochs": (16, "IG C.1"),
        "batch_size": (32, "IG C.1: 1.3B and 6B"),
        "dropout": (0.2, "IG C.1: residual"),
        "max_length": (2048, "IG C: context of 2k tokens"),
        "max_prompt_length": (1000, "IG C: prompts of at most 1k tokens"),
        "max_answer_length": (1000, "IG C: answers of at most 1k tokens"),
    },
    "reward": {
        "lr": (9e-6, "IG C.2"),
        "lr_schedule": ("cosine", "IG C.2: to 10 % of the peak"),
        "epochs": (1, "IG C.2: more overfit quickly"),
        "batch_size": (64, "IG C.2: prompts, 4 to 9 answers each"),
        "ties": ("drop", "IG C.2"),
        "max_length": (2048, "IG C: context of 2k tokens"),
    },
    "ppo": {
        **_POLICY,
        "value_lr": (9e-6, "IG C.4: 1.3B and 6B"),
        "epochs": (1, "IG C.4: one inner epoch"),
        "minibatches": (8, "IG C.4: 512 in minibatches of 64"),
        "clip": (0.2, "IG C.4"),
        "gamma": (1.0, "IG C.4: no discount"),
        "lam": (0.95, "LHP: IG does not print it"),
    },
    "rloo": {
        **_POLICY,
        "samples_per_prompt": (4, "2402.14740, 4"),
    },
    "dpo": {
        "lr": (1e-6, "2305.18290, B"),
        "lr_schedule": ("constant", "2305.18290, B"),
        "warmup_steps": (150, "2305.18290, B"),
        "batch_size": (64, "2305.18290, B"),
        "beta": (0.1, "2305.18290, B"),
        "max_new_tokens": (1000, "IG C: answers of at most 1k tokens"),
    },
    "best_of_n": {
        "n": (64, "WebGPT, 2112.09332, section 3.2"),
        "max_new_tokens": (1000, "IG C: answers of at most 1k tokens"),
    },
}

# The model that RL starts from there: another one than the SFT model that labelers compare it with.
RL_START: dict[str, Sourced] = {
    "sft": {
        **CITED["sft"],
        "lr": (5e-6, "IG C.3: 1.3B"),
        "epochs": (2, "IG C.3"),
        "pretrain_fraction": (0.1, "IG C.3: 10 % pretraining data"),
    }
}

# PPO-ptx, the paper's own choice. Apart from "instructgpt", the paper's plain PPO, because it needs text of one's own.
PTX: dict[str, Sourced] = {
    "ppo": {
        **CITED["ppo"],
        "ptx_coef": (27.8, "IG C.4"),
        "ptx_ratio": (8, "IG C.4: eight pretraining examples for each episode"),
    }
}
