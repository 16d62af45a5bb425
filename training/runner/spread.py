"""How many processes a run is spread over: one for each GPU that this worker may use, unless a setting says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from training.core.config import ONE_PROCESS

DEVICE_FILES = Path("/dev")


def processes(kind: str) -> int:
    """At least 1. Stages that do not train run in one process."""
    if kind in ONE_PROCESS:
        return 1
    return int(settings.PRECEPTOR_TRAIN_PROCESSES) or max(visible_gpus(), 1)


def threads(count: int = 1) -> int:
    """How many each of a run's processes computes with. Torch takes OMP_NUM_THREADS at its word, and a checkpoint's bits
    hang on it."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdecimal() and int(named):
        return int(named)
    return max((os.cpu_count() or 1) // count, 1)


def visible_gpus() -> int:
    """NVIDIA GPUs, as CUDA will count them. Torch would know, but only a child may load it."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is None:
        return sum(path.name.removeprefix("nvidia").isdecimal() for path in DEVICE_FILES.glob("nvidia*"))
    visible = []
    for word in named.split(","):
        if word.strip() in ("", "-1"):  # CUDA stops at the first that is none.
            break
        visible.append(word)
    return len(visible)
