"""Make the starter GPT anew: corpus, tokenizer, weights, samples, card.

    python -m training.starter --work /tmp/starter --publish inference/starter

Two stages of training.core, one after the other. `pretrain` reads the corpus as one long stream, many dialogues in each
block. `sft` then reads part of the same dialogues one at a time, as the model will meet them: that is where it
learns to take names and things from the prompt before it rather than from anywhere in the block.

The same seed gives the same corpus byte for byte, and the same weights on the same kind of machine with the same number
of threads. Takes about fifteen minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from labeling.demo.prompts import make_prompts
from training.starter.card import card
from training.starter.corpus import write_corpus
from training.starter.held_out import measure

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 0
INVENTED = 45_000
PRETRAIN: dict[str, Any] = {
    "steps": 2400, "batch_size": 8, "vocab_size": 2048, "layers": 4, "width": 128, "heads": 4, "context": 256,
    "lr": 3e-3, "warmup_steps": 50, "weight_decay": 0.1, "max_grad_norm": 1.0, "save_every": 400, "eval_every": 400,
    "sample_every": 2400, "sample_tokens": 80, "save_dtype": "bfloat16", "autocast_bf16": True,
}  # fmt: skip
ONE_AT_A_TIME = 14_400
DIALOGUES: dict[str, Any] = {
    "lr": 2e-3, "epochs": 1, "batch_size": 16, "max_length": 256, "max_grad_norm": 1.0, "warmup_steps": 20,
    "save_every": 100_000, "eval_every": 100_000, "sample_every": 100_000, "autocast_bf16": True,
    "save_dtype": "bfloat16", "weight_decay": 0.1, "sort_window": 16, "packing": False,
}  # fmt: skip
LARGEST_BYTES = 10_000_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.starter", description="Make the starter GPT.")
    parser.add_argument("--work", type=Path, required=True, help="empty folder for the two runs")
    parser.add_argument("--publish", type=Path, help="folder that gets the finished model")
    given = parser.parse_args(arguments)
    pretrain, dialogues = given.work / "pretrain", given.work / "dialogues"
    corpus = dataset_of(pretrain) / "train.jsonl"
    rows = write_corpus(corpus, invented=INVENTED, seed=SEED)
    run(pretrain, "pretrain", PRETRAIN, {"dataset": "inputs/dataset"})
    with (
        corpus.open(encoding="utf-8") as source,
        (dataset_of(dialogues) / "train.jsonl").open("w", encoding="utf-8") as target,
    ):
        target.writelines(islice(source, ONE_AT_A_TIME))
    shutil.copytree(pretrain / "model", dialogues / "inputs" / "model", dirs_exist_ok=True)
    run(dialogues, "sft", DIALOGUES, {"model": "inputs/model", "dataset": "inputs/dataset"})
    if given.publish is not None:
        publish(pretrain, dialogues, given.publish, rows)
    return 0


def dataset_of(folder: Path) -> Path:
    """Where a run reads its dialogues, made if need be."""
    path = folder / "inputs" / "dataset"
    path.mkdir(parents=True, exist_ok=True)
    return path


def run(folder: Path, kind: str, config: dict[str, Any], inputs: dict[str, str]) -> None:
    """One stage, as a child. Raises CalledProcessError when it fails; error.json in the folder says why."""
    body = {
        "schema": 1,
        "kind": kind,
        "run": "starter",
        "seed": SEED,
        "config": config,
        "device": "cpu",
        "inputs": inputs,
    }
    (folder / "run.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "training.core", kind, str(folder / "run.json")]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own module, our own file


def publish(pretrain: Path, dialogues: Path, target: Path, rows: int) -> None:
    """Copy model/ to its place, with a card for people in place of the run's own."""
    size = sum(path.stat().st_size for path in (dialogues / "model").rglob("*") if path.is_file())
    if size > LARGEST_BYTES:
        raise SystemExit(f"the model folder has {size:,} bytes; at most {LARGEST_BYTES:,} may be committed.")
    model = dialogues / "model"
    held = measure(model, dataset_of(pretrain), seed=SEED, read_later=ONE_AT_A_TIME)
    text = card(pretrain, dialogues, rows, held, ten_samples(model))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(dialogues / "model", target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
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
