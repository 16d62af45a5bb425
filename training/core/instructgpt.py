"""The preset "instructgpt": the published values, each with the place that it stands in. No torch.

Bare section numbers are InstructGPT's (2203.02155, version 1), for its 1.3B model where sizes differ. What it does not
print (Adam's epsilon, weight decay, clipping of gradients, lambda) comes from where it says, or stays at our default. Stages that it does not
have follow the paper named. Lengths of "1k" and "2k" are taken as 1000 and 2048.
"""

from __future__ import annotations

from typing import Any

Cited = dict[str, tuple[Any, str]]

_RATE = (
    "E.9: of the rates scanned from 2.55e-6 to 2.55e-5, the largest at which PPO without pretraining text did not diverge "
    "(1.3B and 6B); the paper does not print the one it chose"
)

# 27.8 in `ptx_coef` with 8 in `ptx_ratio` is PPO-ptx (C.4). It is off because it needs text of one's own.
_POLICY: Cited = {
    "lr": (8.05e-6, _RATE),
    "lr_schedule": ("constant", "C.4"),
    "warmup_steps": (10, "C.4: 10 iterations, from a tenth of the peak"),
    "iterations": (500, "C.4: 256k episodes of 512 an iteration"),
    "episodes": (512, "C.4"),
    "max_new_tokens": (1000, "C: answers of at most 1k tokens"),
    "kl_coef": (0.02, "C.4"),
    "ema_decay": (0.992, "C.4"),
}

CITED: dict[str, Cited] = {
    "pretrain": {
        "layers": (12, "GPT-3 small, 2005.14165, table 2.1"),
        "width": (768, "GPT-3 small, 2005.14165, table 2.1"),
        "heads": (12, "GPT-3 small, 2005.14165, table 2.1"),
        "lr": (6e-4, "GPT-3 small, 2005.14165, table 2.1"),
        "weight_decay": (0.1, "GPT-3, 2005.14165, appendix B"),
        "max_grad_norm": (1.0, "GPT-3, 2005.14165, appendix B"),
        "vocab_size": (50_257, "GPT-2, Radford et al. 2019, section 2.3"),
        "context": (1024, "GPT-2, Radford et al. 2019, section 2.3"),
        "batch_size": (64, "ours: 65 thousand tokens a step, for one GPU"),
        "steps": (100_000, "ours: 6.5 billion tokens"),
        "warmup_steps": (2000, "ours: 2 % of the steps"),
        "save_every": (1000, "ours"),
        "eval_every": (1000, "ours"),
        "sample_every": (1000, "ours"),
    },
    # The step that a reward model likes best is published there (3.5). A first round has none yet, so `select` is left to the run.
    "sft": {
        "lr": (9.65e-6, "C.1: 1.3B and 6B"),
        "lr_schedule": ("cosine", "C.1: to 10 % of the peak"),
        "warmup_steps": (0, "C.1: none"),
        "epochs": (16, "C.1"),
        "batch_size": (32, "C.1: 1.3B and 6B"),
        "dropout": (0.2, "C.1: residual"),
        "max_length": (2048, "C: context of 2k tokens"),
        "max_prompt_length": (1000, "C: prompts of at most 1k tokens"),
        "max_answer_length": (1000, "C: answers of at most 1k tokens"),
    },
    "reward": {
        "lr": (9e-6, "C.2"),
        "lr_schedule": ("cosine", "C.2: to 10 % of the peak"),
        "epochs": (1, "C.2: more overfit quickly"),
        "batch_size": (64, "C.2: prompts, 4 to 9 answers each"),
        "ties": ("drop", "C.2"),
        "max_length": (2048, "C: context of 2k tokens"),
    },
    "ppo": {
        **_POLICY,
        "value_lr": (9e-6, "C.4: 1.3B and 6B"),
        "epochs": (1, "C.4: one inner epoch"),
        "minibatches": (8, "C.4: 512 in minibatches of 64"),
        "clip": (0.2, "C.4"),
        "gamma": (1.0, "C.4: no discount"),
        "lam": (0.95, "openai/lm-human-preferences; 2203.02155 does not print it"),
    },
    "rloo": {
        **_POLICY,
        "samples_per_prompt": (4, "2402.14740, section 4"),
    },
    "dpo": {
        "lr": (1e-6, "2305.18290, appendix B"),
        "lr_schedule": ("constant", "2305.18290, appendix B"),
        "warmup_steps": (150, "2305.18290, appendix B"),
        "batch_size": (64, "2305.18290, appendix B"),
        "beta": (0.1, "2305.18290, appendix B"),
        "max_new_tokens": (1000, "C: answers of at most 1k tokens"),
    },
    "best_of_n": {
        "n": (64, "WebGPT, 2112.09332, section 3.2"),
        "max_new_tokens": (1000, "C: answers of at most 1k tokens"),
    },
}

# The model that RL starts from there: another one than the SFT model that labelers compare it with.
RL_START: dict[str, Cited] = {
    "sft": {
        **CITED["sft"],
        "lr": (5e-6, "C.3: 1.3B"),
        "epochs": (2, "C.3"),
        "pretrain_fraction": (0.1, "C.3: 10 % pretraining data"),
    }
}

INSTRUCTGPT: dict[str, dict[str, Any]] = {
    kind: {name: value for name, (value, _) in settings.items()} for kind, settings in CITED.items()
}
INSTRUCTGPT_RL_START = {
    kind: {name: value for name, (value, _) in RL_START[kind].items()} for kind in RL_START
}
