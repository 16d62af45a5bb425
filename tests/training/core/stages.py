"""One small run of every stage that trains, for the tests that kill, stop or starve it; a new stage is one entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.training.core.rundirs import demonstrations, make_run, prompts, rankings
from training.core.config import PRESETS

Rows = list[dict[str, Any]]
LOOKS = {"sample_every": 2, "eval_every": 3}
TEXT = "The sea is grey today. The sky is blue. A small dog found a friend in the rain. " * 60
DIALOGUES: Rows = [{"id": row["id"], "messages": row["messages"]} for row in demonstrations(10)]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a stage is run with. It takes at least 6 steps."""

    kind: str
    config: dict[str, Any]
    data: dict[str, Rows]
    inputs: tuple[str, ...] = ("model",)  # of the models that a test has by these names
    texts: dict[str, str] = field(default_factory=dict)  # by their place in inputs/
    updates: int = 1  # optimizer steps a step
    samples: bool = True  # whether it writes answers while it trains

    def write(
        self, folder: Path, models: Mapping[str, Path], config: Mapping[str, Any], **fields: Any
    ) -> Path:
        """Make a run folder; returns the path of its run.json."""
        for name, text in self.texts.items():
            path = folder / "inputs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        whole = {**PRESETS["test"].get(self.kind, {}), **self.config, **config}
        return make_run(
            folder, self.kind, whole, data=self.data, inputs={n: models[n] for n in self.inputs}, **fields
        )


STAGES: dict[str, Stage] = {
    "pretrain": Stage(
        kind="pretrain", config={"steps": 8}, data={"train": DIALOGUES, "valid": DIALOGUES[:3]}, inputs=(),
        texts={"dataset/text.txt": TEXT},
    ),
    "sft with dropout": Stage(
        kind="sft", config={"epochs": 2, "dropout": 0.2, "lr_schedule": "cosine", "warmup_steps": 2},
        data={"train": demonstrations(18), "valid": demonstrations(4)},
    ),
    "sft with text, chosen by reward": Stage(
        kind="sft",
        config={"epochs": 2, "dropout": 0.2, "pretrain_fraction": 0.3, "select": "reward", "reward_prompts": 2, "reward_tokens": 8},
        data={"train": demonstrations(18), "valid": demonstrations(4)}, inputs=("model", "reward"),
        texts={"pretraining/text.txt": TEXT},
    ),
    "sft with adapters, chosen by loss": Stage(
        kind="sft", config={"epochs": 2, "dropout": 0.2, "lora_rank": 2, "lr": 1e-2, "select": "valid_loss"},
        data={"train": demonstrations(18), "valid": demonstrations(4)},
    ),
    "reward": Stage(
        kind="reward",
        config={"epochs": 2, "warmup_steps": 2, "normalize": "samples", "normalize_samples": 6, "normalize_tokens": 8},
        data={"train": rankings(18), "valid": rankings(4)}, samples=False,
    ),
    "dpo": Stage(
        kind="dpo", config={"epochs": 2, "warmup_steps": 2, "kl_samples": 4},
        data={"train": rankings(18), "valid": rankings(4)},
    ),
    "ppo": Stage(
        kind="ppo",
        config={"iterations": 6, "ema_decay": 0.9, "kl_target": 0.01, "kl_horizon": 50.0, "epochs": 2,
                "judge_drop_limit": 1.0},
        data={"train": prompts(5), "valid": prompts(2)}, inputs=("model", "reward", "judge"), updates=4,
    ),
    "ppo with adapters": Stage(
        kind="ppo", config={"iterations": 6, "lora_rank": 2, "ema_decay": 0.9, "kl_budget": 50.0},
        data={"train": prompts(5), "valid": prompts(2)}, inputs=("model", "reward"), updates=2,
    ),
    "rloo": Stage(
        kind="rloo", config={"iterations": 6, "ema_decay": 0.9, "kl_budget": 50.0, "epochs": 2, "minibatches": 2},
        data={"train": prompts(5), "valid": prompts(2)}, inputs=("model", "reward"), updates=4,
    ),
}  # fmt: skip

# They train nothing and have no checkpoints: killed anywhere and run again, they write the same files.
WRITERS: dict[str, Stage] = {
    "score": Stage(
        kind="score", config={"micro_batch_tokens": 64}, inputs=("reference", "reward"),
        data={"train": [{**row, "completion_ids": [5 + n, 9, 7], "logprobs": [-1.0] * 3} for n, row in enumerate(prompts(6))]},
    ),
    "best_of_n": Stage(
        kind="best_of_n", config={"batch_size": 2, "ignore_eos": True, "no_eos_reward": None}, inputs=("model", "reward"),
        data={"train": prompts(6), "valid": prompts(2)},
    ),
}  # fmt: skip
