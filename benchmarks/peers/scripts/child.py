"""What the peers' scripts share. They run in a peer's environment, so nothing of the product may be imported here.

A script takes two paths: a JSON file that says what to do, and where to write what was measured.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.utils import logging

Job = dict[str, Any]
Result = dict[str, Any]


def serve(work: Callable[[Job], Result]) -> None:
    """Do the job; the result also says with which versions."""
    job_file, result_file = map(Path, sys.argv[1:])
    job = json.loads(job_file.read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers has no types here
    result = work(job)
    result["versions"] = {name: version(name) for name in ("trl", "torch", "transformers", "accelerate")}
    result_file.write_text(json.dumps(result), encoding="utf-8")


class Clock(TrainerCallback):
    """Seconds of the training loop alone: data, models and optimizer are there when it starts."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        gc.collect()
        self.cpu_s, self.wall_s = -time.process_time(), -time.perf_counter()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self.cpu_s += time.process_time()
        self.wall_s += time.perf_counter()

    def result(self) -> Result:
        return {"cpu_s": self.cpu_s, "wall_s": self.wall_s}


def arguments(job: Job, folder: str) -> dict[str, Any]:
    """For any of their configs: float32 on the CPU, nothing saved, logged, reported or recomputed; our optimizer's numbers."""
    return {
        "output_dir": folder, "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none",
        "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "dataloader_pin_memory": False,
        "per_device_train_batch_size": job["batch_size"], "gradient_accumulation_steps": job.get("accumulation", 1),
        "lr_scheduler_type": job.get("schedule", "constant"), "seed": job["seed"], **job["optimizer"],
    }  # fmt: skip


def warm_up(model: Any, ids: list[int]) -> None:
    """The first pass sets things up that belong to no step; ours is warmed up in the same way."""
    model(input_ids=torch.tensor([ids, ids])).logits.float().sum().backward()
    model.zero_grad()
