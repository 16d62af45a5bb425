"""SFT on the CPU: completion tokens per CPU second, padded in sorted windows, packed, and neither, in one run.

    python -m benchmarks.training_sft [--vocab 4096] [--layers 4] [--width 128] [--epochs 1] [--threads 1]

384 dialogues of ragged length (prompts of 8 to 110 tokens, answers of 16 to 145, the EOS included) go through the
stage's own `batches_of` and `update`: batch 16, float32, no dropout, one pass. `demonstrations` and `build_model` are what
a peer gets as well, `ours_sft` is one measurement. CPU seconds of this process are counted, so that a busy machine changes
the ratios little; loading, saving and measuring on a validation set are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from inference.engine.models import load_policy, load_tokenizer, random_policy
from training.core import sft
from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.data import Demonstration
from training.core.loop import lr_factor, make_optimizer
from training.core.packing import row_tokens

ROWS, VOCABULARY, CONTEXT, EOS = 384, 4096, 256, 4


@dataclass(frozen=True)
class Row:
    """One dialogue as token ids; the completion ends with EOS."""

    prompt: list[int]
    completion: list[int]


@dataclass(frozen=True)
class Measured:
    """One pass over the data. Seconds are those of the updates alone."""

    completion_tokens: int
    tokens: int
    steps: int
    cpu_s: float
    wall_s: float
    first_loss: float
    last_loss: float
    padding_share: float

    @property
    def completion_tokens_per_cpu_s(self) -> float:
        return self.completion_tokens / self.cpu_s


def demonstrations(count: int = ROWS, vocabulary: int = VOCABULARY, seed: int = 0) -> list[Row]:
    """Made-up dialogues in which each token hangs on the one before, so that there is something to learn."""
    rng = random.Random(seed)
    followers = [[rng.randrange(5, vocabulary) for _ in range(4)] for _ in range(vocabulary)]

    def text(length: int) -> list[int]:
        found = [rng.randrange(5, vocabulary)]
        while len(found) < length:
            found.append(rng.choice(followers[found[-1]]))
        return found

    def length(mean: float, low: int, high: int) -> int:
        return min(max(round(rng.lognormvariate(mean, 0.6)), low), high)

    return [Row(text(length(4.1, 8, 110)), [*text(length(4.6, 15, 144)), EOS]) for _ in range(count)]


def build_model(folder: Path, *, vocabulary: int = VOCABULARY, layers: int = 4, width: int = 128) -> Path:
    """A random GPT-2 with a tokenizer beside it; 4 x 128 at 4,096 tokens has 1.35 million weights."""
    random_policy(folder)
    tokenizer = load_tokenizer(folder)
    config = GPT2Config(
        vocab_size=vocabulary, n_layer=layers, n_embd=width, n_head=4, n_positions=CONTEXT, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(config)
    model.save_pretrained(str(folder))
    return folder


def ours_sft(
    rows: list[Row],
    folder: Path,
    *,
    lr: float = 1e-3,
    batch_size: int = 16,
    sort_window: int = 1,
    packing: bool = True,
    epochs: int = 1,
    seed: int = 0,
) -> Measured:
    """Train the model of `folder` on these rows as the stage does, and say how long its updates took."""
    model, _ = load_policy(folder)
    data = [
        Demonstration(
            str(n),
            row.prompt + row.completion,
            ((len(row.prompt), len(row.prompt) + len(row.completion)),),
            1,
        )
        for n, row in enumerate(rows)
    ]
    cfg = SFTConfig(lr=lr, batch_size=batch_size, sort_window=sort_window, packing=packing, epochs=epochs)
    state = TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, cfg.lr)], cfg))
    batches = [batch for epoch in range(epochs) for batch in sft.batches_of(data, cfg, seed, epoch)]
    sft.use_dropout(model.train(), 0.0)
    sft.answer_nll(model, data[:1], cfg)  # The first pass sets things up that belong to no step.
    cpu, wall = time.process_time(), time.perf_counter()
    numbers = [
        sft.update(model, [data[i] for i in batch], state, cfg, lr_factor(step, len(batches), "cosine", 0))
        for step, batch in enumerate(batches)
    ]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    losses = [row["sft/loss"] for row in numbers]
    return Measured(
        completion_tokens=sft.answer_tokens(data) * epochs, tokens=row_tokens(data) * epochs, steps=len(batches), cpu_s=cpu,
        wall_s=wall, first_loss=losses[0], last_loss=losses[-1],
        padding_share=sum(row["sft/padding_share"] for row in numbers) / len(numbers),
    )  # fmt: skip


LAYOUTS: dict[str, dict[str, Any]] = {
    "padded, windows of 8 batches sorted": {"sort_window": 8, "packing": False},
    "packed, not sorted": {},  # the defaults
    "padded, not sorted": {"packing": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("vocab", VOCABULARY),
        ("layers", 4),
        ("width", 128),
        ("epochs", 1),
        ("threads", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rows = demonstrations(vocabulary=chosen.vocab)
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(Path(folder), vocabulary=chosen.vocab, layers=chosen.layers, width=chosen.width)
        found = {name: ours_sft(rows, model, epochs=chosen.epochs, **how) for name, how in LAYOUTS.items()}
    for name, one in found.items():
        if chosen.json:
            print(json.dumps({"layout": name, **asdict(one)}))
            continue
        print(
            f"{name:<38}{one.completion_tokens_per_cpu_s:8.0f} completion tokens / CPU s  {one.cpu_s:6.1f} CPU s  "
            f"padding {one.padding_share:5.1%}  loss {one.first_loss:.3f} -> {one.last_loss:.3f}"
        )


if __name__ == "__main__":
    main()
