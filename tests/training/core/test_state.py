"""E8 in the small: what a checkpoint has to bring back, so that the next steps are the same numbers. The large is test_resume.py."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.core.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from training.core.config import SFTConfig
from training.core.loop import make_optimizer, optimizer_step
from training.core.report import Reporter, read_rows

CFG = SFTConfig(lr=1e-2)


def new_state(seed: int) -> TrainingState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 1))
    return TrainingState(modules={"model": model}, optimizer=make_optimizer([(model, CFG.lr)], CFG))


def weights_after(steps: int, state: TrainingState) -> torch.Tensor:
    model = state.modules["model"]
    for _ in range(steps):
        # Of growing size, so that Adam's moments decide what a step does.
        torch.autograd.backward((model(torch.ones(8, 4)) * (state.step + 1)).sum())
        optimizer_step(state.optimizer, state.modules, CFG, 1.0)
        state.step += 1
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_steps_after_a_checkpoint_are_the_same_numbers(tmp_path: Path) -> None:
    """Weights, Adam's moments and the generator of dropout all come back into a process that had others."""
    state = new_state(seed=0)
    weights_after(3, state)
    folder = save_checkpoint(tmp_path, state, fingerprint="x", keep=1)
    expected = weights_after(3, state)
    others = [random.random(), float(np.random.rand())]
    again = new_state(seed=1)
    load_checkpoint(folder, again, fingerprint="x")
    assert float((weights_after(3, again) - expected).abs().max()) == 0
    assert [random.random(), float(np.random.rand())] == others, "the generators of python and numpy too"


def test_after_a_resume_each_step_has_one_row(tmp_path: Path) -> None:
    first = Reporter(tmp_path, 6)
    for step in range(1, 6):
        first.log(step, {})
    second = Reporter(tmp_path, 6, resumed_at=3)
    for step in range(4, 7):
        second.log(step, {})
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
