"""Settings that are known to work, by name: what differs from the defaults in config/."""

from __future__ import annotations

from typing import Any

from training.core.instructgpt import INSTRUCTGPT, INSTRUCTGPT_RL_START

# For a model of 1-3 million weights on two CPU cores: minutes.
CPU_STARTER: dict[str, dict[str, Any]] = {
    "pretrain": {
        "steps": 1500, "batch_size": 16, "vocab_size": 4096, "layers": 4, "width": 128, "heads": 4, "context": 256,
        "lr": 3e-3, "warmup_steps": 50, "weight_decay": 0.1, "max_grad_norm": 1.0, "save_every": 250, "eval_every": 250,
        "sample_every": 500, "save_dtype": "bfloat16",
    },
    "sft": {"lr": 5e-4, "epochs": 3, "batch_size": 16, "max_length": 256, "max_grad_norm": 1.0, "eval_every": 20, "sample_every": 40},
    "reward": {"lr": 7e-4, "epochs": 1, "batch_size": 8, "max_length": 256, "warmup_steps": 5, "max_grad_norm": 1.0, "eval_every": 10},
    "ppo": {
        "lr": 2e-4, "value_lr": 5e-4, "warmup_steps": 2, "iterations": 30, "episodes": 128, "epochs": 2, "minibatches": 4,
        "max_new_tokens": 80, "kl_coef": 0.1, "kl_budget": 10.0, "max_grad_norm": 1.0, "save_every": 10, "sample_every": 10,
    },
    "dpo": {
        "lr": 1e-4, "batch_size": 8, "beta": 0.1, "max_length": 256, "warmup_steps": 5, "max_grad_norm": 1.0, "eval_every": 10,
        "max_new_tokens": 80,
    },
    "best_of_n": {"n": 16, "max_new_tokens": 80},
    "rloo": {
        "lr": 3e-4, "warmup_steps": 2, "iterations": 60, "episodes": 128, "samples_per_prompt": 4, "max_new_tokens": 80,
        "kl_coef": 0.1, "kl_budget": 10.0, "max_grad_norm": 1.0, "save_every": 10, "sample_every": 20,
    },
}  # fmt: skip

# For a random model of about 100 thousand weights: seconds.
TEST: dict[str, dict[str, Any]] = {
    "pretrain": {
        "steps": 8, "batch_size": 4, "vocab_size": 300, "layers": 1, "width": 16, "heads": 2, "context": 32,
        "save_every": 4, "eval_every": 4, "sample_every": 4, "sample_tokens": 8,
    },
    "sft": {"epochs": 1, "batch_size": 4, "max_length": 128, "save_every": 4, "eval_every": 4, "sample_every": 4, "sample_tokens": 8},
    "reward": {"epochs": 1, "batch_size": 4, "max_length": 128, "save_every": 4, "eval_every": 4},
    "ppo": {
        "iterations": 4, "episodes": 8, "epochs": 1, "minibatches": 2, "max_new_tokens": 8, "save_every": 2, "sample_every": 2,
        "sample_tokens": 8, "lr": 1e-4, "value_lr": 1e-4,
    },
    "dpo": {
        "epochs": 1, "batch_size": 4, "max_length": 128, "save_every": 4, "eval_every": 4, "sample_every": 4, "sample_tokens": 8,
        "kl_samples": 4, "max_new_tokens": 8, "lr": 1e-4,
    },
    "best_of_n": {"n": 4, "batch_size": 4, "max_new_tokens": 8},
    "rloo": {
        "iterations": 4, "episodes": 8, "samples_per_prompt": 4, "max_new_tokens": 8, "save_every": 2, "sample_every": 2,
        "sample_tokens": 8, "lr": 1e-4,
    },
}  # fmt: skip

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu-starter": CPU_STARTER,
    "instructgpt": INSTRUCTGPT,
    "instructgpt-rl-start": {**INSTRUCTGPT, **INSTRUCTGPT_RL_START},
    "test": TEST,
}
