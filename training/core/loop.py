"""What all stages share: seeds, optimizer, schedule, gradient accumulation, and the loop that logs, saves and obeys signals."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from training.core.checkpoint import TrainingState, drop_checkpoints, load_checkpoint, save_checkpoint
from training.core.config import StageConfig
from training.core.errors import RunError
from training.core.meter import meter
from training.core.parallel import world
from training.core.report import Reporter
from training.core.run_folder import Run

Numbers = dict[str, float]

# These change how a run is watched or fits in memory, not what it computes: a resumed run may have others.
_FREE_SETTINGS = {
    "micro_batch_tokens",
    "gradient_checkpointing",
    "save_every",
    "keep_checkpoints",
    "eval_every",
    "sample_every",
    "sample_tokens",
    "save_dtype",
}


def stream_seed(seed: int, *names: object) -> int:
    """A seed of its own for each purpose (order, dropout, rollout ...), so that one never shifts another. 63 bits."""
    text = json.dumps([seed, *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def prepare(run: Run) -> torch.device:
    """Seed the global generators, ask torch for repeatable kernels, join the other ranks, and choose the device."""
    random.seed(stream_seed(run.seed, "python"))
    np.random.seed(stream_seed(run.seed, "numpy") % 2**32)
    torch.manual_seed(stream_seed(run.seed, "dropout"))
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    if run.device == "cuda" and not torch.cuda.is_available():
        raise RunError("no_device", "device is cuda, but torch sees no GPU.", "Use device auto or cpu.")
    device = world.start(run.device)
    meter.use(device, bf16=getattr(run.config, "autocast_bf16", False))
    return device


# --- optimizer ------------------------------------------------------------------------------------------------------


def make_optimizer(trained: Sequence[tuple[nn.Module, float]], cfg: StageConfig) -> torch.optim.Optimizer:
    """AdamW over modules, each with its own peak rate. Vectors (biases, norms) are not decayed."""
    groups: list[dict[str, Any]] = []
    for module, lr in trained:
        parameters = [p for p in module.parameters() if p.requires_grad]
        for decay, members in (
            (cfg.weight_decay, [p for p in parameters if p.ndim >= 2]),
            (0.0, [p for p in parameters if p.ndim < 2]),
        ):
            if members:
                groups.append({"params": members, "lr": lr, "peak_lr": lr, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=(cfg.adam_beta1, cfg.adam_beta2), eps=cfg.adam_eps, fused=True)


def lr_factor(step: int, total: int, schedule: str, warmup: int) -> float:
    """Share of the peak rate at step 0, 1, ... total - 1. Warm-up starts from 1/10 of the peak (InstructGPT C.4)."""
    if step < warmup:
        return 0.1 + 0.9 * step / warmup
    done = (step - warmup) / max(total - warmup, 1)
    if schedule == "cosine":
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(done, 1.0)))
    return max(1 - done, 0.0) if schedule == "linear" else 1.0


def optimizer_step(
    optimizer: torch.optim.Optimizer, modules: Mapping[str, nn.Module], cfg: StageConfig, factor: float
) -> Numbers:
    """One update with the gradients that all ranks have gathered; returns the gradient's length by module. RunError
    `nan_loss` instead of an update when a gradient is not finite: the weights and the last checkpoint stay good."""
    with meter.phase("optimizer"):
        world.sum_gradients(modules)
        norms = _clip(modules, cfg)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norms


def _clip(modules: Mapping[str, nn.Module], cfg: StageConfig) -> Numbers:
    norms: Numbers = {}
    for name, module in modules.items():
        parameters = [p for p in module.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        check_finite(float(norm), f"the gradient of the {name}")
        if cfg.max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, cfg.max_grad_norm, norm)
        norms[name] = float(norm)
    return norms


def check_finite(number: float, what: str) -> None:
    if not math.isfinite(number):
        raise RunError(
            "nan_loss",
            f"{what} is {number}.",
            "Lower the learning rate, or resume from the last checkpoint with other settings.",
        )


# --- batches --------------------------------------------------------------------------------------------------------


def permutation(count: int, seed: int, *names: object) -> list[int]:
    """A shuffled range that depends on its names alone, so a resumed run finds its place without any saved state."""
    generator = torch.Generator().manual_seed(stream_seed(seed, *names))
    return [int(i) for i in torch.randperm(count, generator=generator)]


def in_passes(count: int, begin: int, end: int, seed: int, *names: object) -> list[int]:
    """Entries begin .. end - 1 of shuffled passes over range(count), one pass after another."""
    found: list[int] = []
    for n in range(begin, end):
        epoch, place = divmod(n, count)
        if not found or place == 0:
            order = permutation(count, seed, *names, epoch)
        found.append(order[place])
    return found


def sorted_batches(
    lengths: Sequence[int], order: Sequence[int], size: int, window: int, seed: int, *names: object
) -> list[list[int]]:
    """Cut `order` into batches. Within each window of batches rows are sorted by length, then the batches are shuffled."""
    batches: list[list[int]] = []
    for start in range(0, len(order), size * window):
        rows = (
            sorted(order[start : start + size * window], key=lambda i: lengths[i])
            if window > 1
            else list(order[start : start + size])
        )
        batches += [rows[i : i + size] for i in range(0, len(rows), size)]
    return [batches[i] for i in permutation(len(batches), seed, *names, "batches")] if window > 1 else batches


def micro_batches(
    indices: Sequence[int], cost: Callable[[int], tuple[int, int]], budget: int
) -> list[list[int]]:
    """Parts of a batch whose padded size (rows x longest) stays within the budget. cost(i) = (rows, longest row).

    A part with an eighth of the budget also ends where the next row is an eighth shorter than its longest: padding costs
    what text costs, and a part of that size keeps the machine busy.
    """
    parts: list[list[int]] = []
    rows = width = 0
    for index in sorted(indices, key=lambda i: (cost(i)[1], i), reverse=True):
        more, length = cost(index)
        full = (rows + more) * width > budget
        shorter = 8 * length <= 7 * width and 8 * rows * width >= budget
        if not parts or full or shorter:
            parts.append([])
            rows, width = 0, length  # sorted from long to short
        parts[-1].append(index)
        rows += more
    return parts


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and mask, (B, T) each, padded on the right. The mask comes from lengths; the padding id is never looked at."""
    lengths = [len(row) for row in rows]
    width = max(lengths)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.long)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return ids.to(device), mask.to(device)


def autocast(device: torch.device, *, enabled: bool) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """No gradients and eval mode, and back to how it was."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.train(mode)


# --- the loop -------------------------------------------------------------------------------------------------------


def fingerprint(run: Run) -> str:
    """What a checkpoint belongs to: the stage, its seed, the settings that decide results, and the inputs."""
    config = {k: v for k, v in run.config.to_json().items() if k not in _FREE_SETTINGS}
    if getattr(run.config, "select", "last") != "last":
        config["eval_every"] = run.config.to_json()["eval_every"]  # Only a measured step can be chosen.
    inputs = {k: v for k, v in run.sha256.items() if not k.startswith(("inputs/checkpoint", "step-"))}
    text = json.dumps([run.kind, run.seed, config, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def start(run: Run, state: TrainingState, total_steps: int) -> Reporter:
    """Go back to the checkpoint where the run names one, and open the metrics at that place.

    Rows and checkpoints after it are dropped, without a checkpoint to go on from all of them: both are made again.
    """
    silent = not world.is_first
    if run.resume_from is None:
        _drop_checkpoints(run, after=-1)
        return Reporter(run.folder, total_steps, silent=silent)
    changed = load_checkpoint(run.resume_from, state, fingerprint=fingerprint(run))
    run.notes["resumed_at"] = state.step
    if changed:
        run.notes["resumed_on_another"] = changed
    _drop_checkpoints(run, after=state.step)
    return Reporter(run.folder, total_steps, resumed_at=state.step, silent=silent)


def _drop_checkpoints(run: Run, *, after: int) -> None:
    if world.is_first:
        drop_checkpoints(run.folder, after=after)


def run_steps(run: Run, state: TrainingState, report: Reporter, do_step: Callable[[int], Numbers]) -> Numbers:
    """Call do_step(0), do_step(1), ... to the end; log, checkpoint, obey signals. Returns the last row.

    A step ends the run early by setting state.numbers["stopped"] to a reason.
    """
    save_every = cast(StageConfig, run.config).save_every
    world.hear(run.stop)
    run.stop.obey()  # Asked while it loaded: there is nothing yet that is not saved.
    row: Numbers = state.numbers.get("last_row", {})
    while state.step < report.total_steps and "stopped" not in state.numbers:
        began = time.perf_counter()
        if world.size > 1:
            # A checkpoint holds the first rank's generators alone, so each rank's dropout hangs on the step.
            torch.manual_seed(stream_seed(run.seed, run.kind, "dropout", world.rank, state.step))
        row = do_step(state.step)
        state.step += 1
        report.log(state.step, {**row, "perf/seconds": time.perf_counter() - began, **meter.take()})
        row = {name: value for name, value in row.items() if math.isfinite(value)}
        state.numbers["last_row"] = row
        ending = state.step >= report.total_steps or "stopped" in state.numbers
        world.hear(run.stop)
        if ending or run.stop.signum is not None or state.step % save_every == 0:
            _save(run, state, report)
            # Only here: a signal between the condition and this line waits for the next step and its checkpoint.
            world.hear(run.stop)
            run.stop.obey()
    return row


def _save(run: Run, state: TrainingState, report: Reporter) -> None:
    """The first rank writes, and the others go on when it has."""
    with meter.phase("checkpoint"):
        report.sync()
        if world.is_first:
            keep = cast(StageConfig, run.config).keep_checkpoints
            save_checkpoint(run.folder, state, fingerprint=fingerprint(run), keep=keep)
        world.wait()


def due(step: int, every: int, total: int) -> bool:
    """Whether something done `every` so many steps, and at the last, is due after this step (counted from 1)."""
    return step % every == 0 or step == total
