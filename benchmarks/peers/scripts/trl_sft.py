"""TRL's SFTTrainer on token ids, in one of its layouts."""

from __future__ import annotations

import tempfile
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from benchmarks.peers.scripts.child import Clock, Job, Result, arguments, serve, warm_up

LAYOUTS: dict[str, dict[str, Any]] = {
    "padded": {},
    "padded, in order": {"train_sampling_strategy": "sequential"},
    "padded, sorted": {"train_sampling_strategy": "group_by_length"},
    "padding-free": {"padding_free": True},
}


def train(job: Job) -> Result:
    """One epoch over job["rows"] = [{input_ids, completion_mask}, ...]."""
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype="float32")
    warm_up(model, job["rows"][0]["input_ids"])
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            **arguments(job, folder),
            **LAYOUTS[job["layout"]],
            max_length=None,
            completion_only_loss=True,  # By itself it is on only where prompts come as text.
            num_train_epochs=1,
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(job["rows"]),
            processing_class=AutoTokenizer.from_pretrained(job["model"]),
            callbacks=[clock],
        )
        losses: list[float] = []
        compute_loss = trainer.compute_loss

        def recorded(*args: Any, **kwargs: Any) -> Any:
            loss = compute_loss(*args, **kwargs)
            losses.append(float(loss.detach()))
            return loss

        trainer.compute_loss = recorded
        trainer.train()
    return clock.result() | {"losses": losses, "steps": trainer.state.global_step}


if __name__ == "__main__":
    serve(train)
