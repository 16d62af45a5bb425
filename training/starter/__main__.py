"""Make the starter GPT anew: corpus, tokenizer, weights, samples, card.

    python -m training.starter --work /tmp/starter --publish inference/starter

The same seed gives the same corpus byte for byte, and the same weights on the same kind of machine with the same number
of threads. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from labeling.demo.prompts import make_prompts
from training.starter.card import card
from training.starter.corpus import write_corpus

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 0
INVENTED = 45_000
CONFIG: dict[str, Any] = {
    "steps": 1200, "batch_size": 16, "vocab_size": 3072, "layers": 4, "width": 128, "heads": 4, "context": 256,
    "lr": 3e-3, "warmup_steps": 50, "weight_decay": 0.1, "max_grad_norm": 1.0, "save_every": 200, "eval_every": 200,
    "sample_every": 1200, "sample_tokens": 80, "save_dtype": "bfloat16", "autocast_bf16": True,
}  # fmt: skip
LARGEST_BYTES = 10_000_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.starter", description="Make the starter GPT.")
    parser.add_argument("--work", type=Path, required=True, help="empty folder for the run")
    parser.add_argument("--publish", type=Path, help="folder that gets the finished model")
    parser.add_argument("--steps", type=int, default=CONFIG["steps"], help="optimizer steps")
    given = parser.parse_args(arguments)
    run = given.work / "attempt-1"
    rows = prepare(run, {**CONFIG, "steps": given.steps})
    command = [sys.executable, "-m", "training.core", "pretrain", str(run / "run.json")]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own module, our own file
    if code or given.publish is None:
        return code
    publish(run, given.publish, rows)
    return 0


def prepare(run: Path, config: dict[str, Any]) -> int:
    """Write the corpus and run.json. Returns the number of dialogues."""
    dataset = run / "inputs" / "dataset"
    dataset.mkdir(parents=True, exist_ok=True)
    rows = write_corpus(dataset / "train.jsonl", invented=INVENTED, seed=SEED)
    digest = hashlib.sha256((dataset / "train.jsonl").read_bytes()).hexdigest()
    body = {
        "schema": 1, "kind": "pretrain", "run": "starter", "attempt": 1, "seed": SEED, "config": config, "device": "cpu",
        "inputs": {"dataset": "inputs/dataset"}, "sha256": {"inputs/dataset/train.jsonl": digest},
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return rows


def publish(run: Path, target: Path, rows: int) -> None:
    """Copy model/ to its place, with a card for people in place of the run's own."""
    size = sum(path.stat().st_size for path in (run / "model").rglob("*") if path.is_file())
    if size > LARGEST_BYTES:
        raise SystemExit(f"the model folder has {size:,} bytes; at most {LARGEST_BYTES:,} may be committed.")
    text = card(run, rows, ten_samples(run / "model"))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run / "model", target)
    (target / "README.md").write_text(text, encoding="utf-8")


def ten_samples(model: Path) -> list[tuple[str, str]]:
    """What the model says to ten prompts, drawn by the sampler's own command."""
    prompts = make_prompts(10, seed=SEED + 1)
    asked = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    command = [sys.executable, "-m", "inference.engine", str(model), "--max-tokens", "80"]
    done = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, check=True)  # noqa: S603 - our own module
    return [
        (prompt, json.loads(line)["text"])
        for prompt, line in zip(prompts, done.stdout.splitlines(), strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
