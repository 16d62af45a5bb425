"""Settings that are known to work, by name: what differs from the defaults in config/, and where each value comes from.

`IG` is InstructGPT (2203.02155), `N+` is "The N+ implementation details of RLHF with PPO" (2403.17031), `LHP` is the code of
"Fine-tuning language models from human preferences" (openai/lm-human-preferences). `ours` is a value that we chose: "measured" where
rounds of the starter decided, as benchmarks/demo.py plays them, else with the reason.
"""

from __future__ import annotations

from typing import Any

from training.core.instructgpt import CITED, PTX, RL_START, Sourced

_MINUTES = "ours: minutes on two cores"
_CONTEXT = "ours: the starter's context"
_MEASURED = "ours: measured on the starter's rounds"
_RATE = "ours: for about a million weights, not searched"
_CLIP = "ours: one odd batch must not undo a short run"
_WARM = "ours: a few steps, since runs are short"
_SEEN = "ours: a few points on the curve of a short run"
_LONGEST = "ours: the starter's answers, with room to spare"

# For a model of 1-3 million weights on two CPU cores: minutes.
CPU_STARTER: dict[str, Sourced] = {
    "pretrain": {
        "steps": (1500, _MINUTES),
        "batch_size": (16, _MINUTES),
        "vocab_size": (4096, "ours: less than half of a small model's weights"),
        "layers": (4, _MINUTES),
        "width": (128, _MINUTES),
        "heads": (4, "ours: 32 numbers a head"),
        "context": (256, _MINUTES),
        "lr": (3e-3, "ours: the starter's own"),
        "warmup_steps": (50, "ours: the starter's own"),
        "weight_decay": (0.1, "GPT-3, 2005.14165, B"),
        "max_grad_norm": (1.0, "GPT-3, 2005.14165, B"),
        "save_every": (250, _SEEN),
        "eval_every": (250, _SEEN),
        "sample_every": (500, _SEEN),
        "save_dtype": ("bfloat16", "ours: half the size"),
    },
    "sft": {
        "lr": (5e-4, _RATE),
        "epochs": (3, _MINUTES),
        "batch_size": (16, "ours: enough steps from few demonstrations"),
        "max_length": (256, _CONTEXT),
        "max_grad_norm": (1.0, _CLIP),
        "eval_every": (20, _SEEN),
        "sample_every": (40, _SEEN),
    },
    "reward": {
        "lr": (7e-4, _MEASURED),
        "epochs": (1, "IG C.2: more overfit quickly"),
        "batch_size": (8, "ours: enough steps from few rankings"),
        "max_length": (256, _CONTEXT),
        "warmup_steps": (5, _WARM),
        "max_grad_norm": (1.0, _CLIP),
        "eval_every": (10, _SEEN),
    },
    "ppo": {
        "lr": (2e-4, _MEASURED),
        "value_lr": (5e-4, _RATE),
        "warmup_steps": (2, _WARM),
        "iterations": (30, _MINUTES),
        "episodes": (128, _MINUTES),
        "epochs": (2, "ours: between IG C.4 (1) and N+ (4)"),
        "minibatches": (4, "ours: 32 answers a step"),
        "max_new_tokens": (80, _LONGEST),
        "kl_coef": (0.1, _MEASURED),
        "kl_budget": (10.0, _MEASURED),
        "max_grad_norm": (1.0, _CLIP),
        "save_every": (10, _SEEN),
        "sample_every": (10, _SEEN),
    },
    "dpo": {
        "lr": (1e-4, _RATE),
        "batch_size": (8, "ours: enough steps from few rankings"),
        "beta": (0.1, "2305.18290, B"),
        "max_length": (256, _CONTEXT),
        "warmup_steps": (5, _WARM),
        "max_grad_norm": (1.0, _CLIP),
        "eval_every": (10, _SEEN),
        "max_new_tokens": (80, _LONGEST),
    },
    "best_of_n": {
        "n": (16, "WebGPT, 2112.09332, 3.2: 4, 16 or 64"),
        "max_new_tokens": (80, _LONGEST),
    },
    "rloo": {
        "lr": (3e-4, _RATE),
        "warmup_steps": (2, _WARM),
        "iterations": (60, _MINUTES),
        "episodes": (128, _MINUTES),
        "samples_per_prompt": (4, "2402.14740: 2 or 4"),
        "max_new_tokens": (80, _LONGEST),
        "kl_coef": (0.1, "ours: as in PPO"),
        "kl_budget": (10.0, "ours: as in PPO"),
        "max_grad_norm": (1.0, _CLIP),
        "save_every": (10, _SEEN),
        "sample_every": (20, _SEEN),
    },
}

# For tests, with a random model of about 100 thousand weights: seconds.
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

OFFERED = ("cpu-starter", "instructgpt")
"""Presets that a round may choose; the others need what a project does not have, or are for tests."""

SOURCED: dict[str, dict[str, Sourced]] = {
    "cpu-starter": CPU_STARTER,
    "instructgpt": CITED,
    "instructgpt-rl-start": {**CITED, **RL_START},
    "instructgpt-ptx": {**CITED, **PTX},
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    name: {
        kind: {setting: value for setting, (value, _) in settings.items()} for kind, settings in kinds.items()
    }
    for name, kinds in SOURCED.items()
} | {"test": TEST}
