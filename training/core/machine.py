"""What computes: versions, processor threads and processes. The same seed gives the same bits where all of these are the same. No torch."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
CPU_INFO = Path("/proc/cpuinfo")


def ranks() -> int:
    """How many processes torchrun (or whatever sets its variables) has started for this run."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def rank() -> int:
    """Which of them this is; 0 alone writes what the run has to say."""
    return int(os.environ.get("RANK") or 0) if ranks() > 1 else 0


@lru_cache(maxsize=4)
def machine(threads: int) -> dict[str, str]:
    """Packages, python, architecture, processor and number of threads, by name."""
    return {
        **{name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "threads": str(threads),
    }


def _cpu() -> str:
    """Its marketing name: which vector instructions it has decides in what order sums are taken."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
