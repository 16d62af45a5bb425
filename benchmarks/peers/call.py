"""Run a script of the peers in its own environment: a job goes as a JSON file, what was measured comes back as one."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import python_of
from config.prepare import ROOT

# No telemetry, no hub, no spinning threads; one thread unless a job says otherwise.
SILENT = {
    "CI": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1",
}  # fmt: skip


class PeerFailed(Exception):
    """A peer's script ended badly; the message has its last lines."""


def call(release: str, script: str, job: dict[str, Any], *, threads: int = 1) -> dict[str, Any]:
    """What benchmarks/peers/scripts/<script>.py measured. Raises PeerFailed, also where its environment is missing."""
    python = python_of(release)
    if not python.exists():
        raise PeerFailed(f"TRL {release} is not there. Make it by `make bench-peers`.")
    with tempfile.TemporaryDirectory() as name:
        given, found = Path(name, "job.json"), Path(name, "result.json")
        given.write_text(json.dumps(job | {"threads": threads}), encoding="utf-8")
        done = subprocess.run(
            [python, "-m", f"benchmarks.peers.scripts.{script}", given, found],
            cwd=ROOT,
            env={**os.environ, **SILENT, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode or not found.exists():
            raise PeerFailed(
                f"{script} with TRL {release} ended with {done.returncode}:\n{done.stderr[-3000:]}"
            )
        result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return result


def optimizer_of(cfg: Any) -> dict[str, float]:
    """The numbers of our optimizer under the names of transformers, which clips nothing at a length of 0."""
    return {
        "learning_rate": cfg.lr, "adam_beta1": cfg.adam_beta1, "adam_beta2": cfg.adam_beta2, "adam_epsilon": cfg.adam_eps,
        "weight_decay": cfg.weight_decay, "max_grad_norm": cfg.max_grad_norm or 0.0,
    }  # fmt: skip
