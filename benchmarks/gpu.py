"""What only a GPU can show (E14): how well bfloat16 training and decoding use it, and whether PPO's first ratio is 1 there.

    make bench-training OPTIONS="--only gpu"
    python -m benchmarks.gpu --rehearse        the same three runs, tiny and on this CPU: shows that they work, judges nothing

The runs are the product's own, `python -m training.core <kind> run.json` as child processes, and the numbers are what they
write into metrics.jsonl. The model has random weights: arithmetic takes as long whatever they are.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from benchmarks.peers.rows import HEADER, Row
from benchmarks.training_policy import ROOT, Workload, prompt_rows, write_models
from tests.training.core.rundirs import make_run
from training.core.devices import peak_of
from training.core.report import read_rows

Rows = list[dict[str, Any]]
MFU_BAR, RATIO_BAR = 0.40, 0.005
WARM_UP = 3  # steps in which kernels are chosen and memory is asked for


class Scale(NamedTuple):
    """How large model and data are."""

    model: Workload
    steps: int
    batch: int  # demonstrations or rankings a step
    answers: int  # of a ranking
    answer_tokens: tuple[int, int]
    at_once: int  # micro_batch_tokens


GPU = Scale(
    Workload(layers=24, width=1536, heads=12, vocabulary=32_768, context=2048, prompt_tokens=256, new_tokens=256),
    steps=12, batch=32, answers=4, answer_tokens=(128, 1024), at_once=32_768,
)  # fmt: skip
"""0.73 thousand million weights, of which 0.68 in its blocks."""
REHEARSAL = Scale(
    Workload(
        layers=2, width=32, heads=2, vocabulary=256, context=96, prompt_tokens=16, new_tokens=16, episodes=8
    ),
    steps=4, batch=4, answers=3, answer_tokens=(4, 32), at_once=512,
)  # fmt: skip


def rows() -> Iterator[Row]:
    """The lines of the table; where there is no GPU they say that nothing was verified."""
    if not torch.cuda.is_available():
        for judge in JUDGES.values():
            yield from judge([], "not verified: no GPU")
        return
    name = torch.cuda.get_device_name()
    note = name if peak_of(name) else f"{name}: add its peak to training/core/devices.py"
    yield from measured(GPU, "cuda", note)


def measured(scale: Scale, device: str, note: str) -> Iterator[Row]:
    """Run SFT, reward model and PPO at this scale; their lines as they come."""
    with tempfile.TemporaryDirectory(prefix="preceptor-gpu-") as name:
        folder = Path(name)
        write_models(scale.model, folder)
        for kind, judge in JUDGES.items():
            yield from judge(RUNS[kind](scale, folder, device), note)


def judge_training(what: str, found: Rows, note: str) -> Iterator[Row]:
    """How much of the device's arithmetic the model used, forward, backward and optimizer."""
    mfu = _middle(found, "perf/mfu")
    yield Row(
        what=f"bf16 on CUDA, {what}: MFU of 0.7 B weights", ours=mfu, bar=f">= {MFU_BAR:.0%}",
        holds=None if mfu is None else mfu >= MFU_BAR, note=_with_speed(note, found, "perf/tokens_per_s"),
    )  # fmt: skip


def judge_ppo(found: Rows, note: str) -> Iterator[Row]:
    """How much of the device's bandwidth the sampler used, and whether old and new log-probabilities are the same."""
    mbu, spoken = _middle(found, "perf/mbu"), _with_speed(note, found, "perf/sampled_tokens_per_s")
    yield Row(what="bf16 on CUDA, sampling: MBU", ours=mbu, note=spoken)
    error = max((row["ppo/first_ratio_error"] for row in found), default=None)
    yield Row(
        what="bf16 on CUDA, PPO: largest |first ratio - 1|", ours=error, bar=f"<= {RATIO_BAR}",
        holds=error <= RATIO_BAR if error is not None and torch.cuda.is_available() else None, note=note,
    )  # fmt: skip


def _with_speed(note: str, found: Rows, name: str) -> str:
    speed = _middle(found, name)
    return note if speed is None else f"{note}; {speed:,.0f} tokens / s"


def _middle(found: Rows, name: str) -> float | None:
    """The median over the steps after the first few; None where it was not measured."""
    values = [row[name] for row in found[WARM_UP:] if name in row]
    return median(values) if values else None


# --- the three runs -------------------------------------------------------------------------------------------------


def run_sft(scale: Scale, folder: Path, device: str) -> Rows:
    """Packed demonstrations of ragged lengths."""
    draw = random.Random(1)
    data = [
        {"id": f"d{n}", "messages": [*prompt, {"role": "assistant", "content": _words(scale, draw)}]}
        for n, prompt in enumerate(_prompts(scale))
    ]
    config = {"epochs": 1, "batch_size": scale.batch, "packing": True, "max_length": scale.model.context}
    return _run(scale, folder, device, "sft", config, data, {"model": "policy"})


def run_reward(scale: Scale, folder: Path, device: str) -> Rows:
    """Whole rankings, each prompt read once."""
    draw = random.Random(2)
    data = []
    for n, prompt in enumerate(_prompts(scale)):
        ids = [f"r{k}" for k in range(scale.answers)]
        data.append(
            {
                "id": f"k{n}", "prompt": prompt, "ranks": {one: k + 1 for k, one in enumerate(ids)}, "labeler": "h:1", "weight": 1.0,
                "responses": [{"id": one, "content": _words(scale, draw), "token_ids": None} for one in ids],
            }
        )  # fmt: skip
    config = {"epochs": 1, "batch_size": scale.batch, "max_length": scale.model.context}
    return _run(scale, folder, device, "reward", config, data, {"model": "policy"})


def run_ppo(scale: Scale, folder: Path, device: str) -> Rows:
    """Answers of one length, one pass over each rollout."""
    config = {
        "iterations": scale.steps, "episodes": scale.model.episodes, "epochs": 1, "minibatches": 2, "ignore_eos": True,
        "max_new_tokens": scale.model.new_tokens, "no_eos_reward": None, "lr": 1e-6, "value_lr": 1e-6,
    }  # fmt: skip
    data = prompt_rows(scale.model)
    return _run(scale, folder, device, "ppo", config, data, {"model": "policy", "reward": "reward"})


def _prompts(scale: Scale) -> Iterator[list[dict[str, str]]]:
    rows = prompt_rows(scale.model)
    return (rows[n % len(rows)]["prompt"] for n in range(scale.steps * scale.batch))


def _words(scale: Scale, draw: random.Random) -> str:
    least, most = scale.answer_tokens
    return " " + " ".join(
        f"w{draw.randrange(1, scale.model.vocabulary - 1)}" for _ in range(draw.randint(least, most))
    )


def _run(
    scale: Scale, folder: Path, device: str, kind: str, config: dict[str, Any], data: Rows, models: dict[str, str]
) -> Rows:  # fmt: skip
    """Let the command do a run; what it wrote, a row a step."""
    rare = {"save_every": 1_000_000, "eval_every": 1_000_000, "sample_every": 1_000_000, "sample_tokens": 1}
    path = make_run(
        folder / f"run-{kind}", kind, {"autocast_bf16": True, "micro_batch_tokens": scale.at_once, **rare, **config},
        data={"train": data}, inputs={name: folder / one for name, one in models.items()}, device=device,
    )  # fmt: skip
    command = [sys.executable, "-m", "training.core", kind, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{kind} left with {done.returncode}:\n{done.stderr[-2000:]}")
    return read_rows(path.with_name("metrics.jsonl"))


RUNS: dict[str, Callable[[Scale, Path, str], Rows]] = {"sft": run_sft, "reward": run_reward, "ppo": run_ppo}
JUDGES: dict[str, Callable[[Rows, str], Iterator[Row]]] = {
    "sft": partial(judge_training, "SFT"), "reward": partial(judge_training, "reward"), "ppo": judge_ppo,
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit status is the number of bars that were missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU")
    options = parser.parse_args(arguments)
    print(HEADER)
    missed = 0
    for row in measured(REHEARSAL, "cpu", "a rehearsal on a CPU") if options.rehearse else rows():
        missed += row.holds is False
        print(row, flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
