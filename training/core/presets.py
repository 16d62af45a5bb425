"""Settings that are known to work, by name: what differs from the defaults in config/."""

from __future__ import annotations

from typing import Any

# The paper's values (2203.02155): SFT C.1, reward model C.2, PPO C.4 of the 1.3B model. The gradient of pretraining text
# is off, since it needs text of one's own (27.8 in `ptx_coef` with 8 in `ptx_ratio` is PPO-ptx), so the policy's rate is the
# largest that did not diverge without it (E.8). RLOO has the same budget and price; its group of 4 is 2402.14740's.
# Pretraining has no values there; the block is a GPT-2 small (Radford et al. 2019). DPO came later: its values are those of
# Rafailov et al. (2305.18290, appendix B).
INSTRUCTGPT: dict[str, dict[str, Any]] = {
    "pretrain": {
        "steps": 100_000, "batch_size": 64, "vocab_size": 50_257, "layers": 12, "width": 768, "heads": 12, "context": 1024,
        "lr": 6e-4, "warmup_steps": 2000, "weight_decay": 0.1, "max_grad_norm": 1.0, "save_every": 1000, "eval_every": 1000,
        "sample_every": 1000,
    },
    # The paper publishes the step that a reward model likes best. A first round has none yet, so `select` is left to the run.
    "sft": {
        "lr": 9.65e-6, "epochs": 16, "batch_size": 32, "dropout": 0.2, "lr_schedule": "cosine", "warmup_steps": 0,
        "max_length": 2048, "max_prompt_length": 1000, "max_answer_length": 1000,
    },
    "reward": {"lr": 9e-6, "epochs": 1, "batch_size": 64, "lr_schedule": "cosine", "max_length": 2048},
    "ppo": {
        "lr": 8.05e-6, "value_lr": 9e-6, "lr_schedule": "constant", "warmup_steps": 10, "iterations": 500, "episodes": 512,
        "epochs": 1, "minibatches": 8, "max_new_tokens": 1024, "kl_coef": 0.02, "gamma": 1.0, "lam": 0.95, "clip": 0.2,
        "ema_decay": 0.992,
    },
    "dpo": {"lr": 1e-6, "lr_schedule": "constant", "warmup_steps": 150, "batch_size": 64, "beta": 0.1, "max_new_tokens": 1024},
    "best_of_n": {"n": 64, "max_new_tokens": 1024},
    "rloo": {
        "lr": 8.05e-6, "lr_schedule": "constant", "warmup_steps": 10, "iterations": 500, "episodes": 512, "samples_per_prompt": 4,
        "max_new_tokens": 1024, "kl_coef": 0.02, "ema_decay": 0.992,
    },
}  # fmt: skip

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
    "test": TEST,
}
