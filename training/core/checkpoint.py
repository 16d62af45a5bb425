"""Checkpoints: one folder that holds all it takes to go on bit for bit, and that is whole or absent.

    step-40.tmp/  tensors.safetensors  state.json  MANIFEST.json (sha256 and size of both)   -> rename ->   step-40/

Tensors are weights, optimizer moments and generator states; state.json is all that is not a tensor, and what computed it
(versions, machine, threads). Nothing is pickled. Files are synced before the manifest that vouches for them, the folder
before it gets its name, and older checkpoints go only when the new one has been read back.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.core.cards import versions
from training.core.errors import RunError
from training.core.run_folder import fsync_path, manifest_fault, publish_folder, sha256_of, write_json

BASE = "preceptor_base"
"""Attribute of a module with the names of its tensors that never change and come with its input (adapters.py)."""
_NAME = re.compile(r"step-(\d+)")


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes while a run goes. `numbers` are JSON values (the KL price, say), by name."""

    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    step: int = 0
    numbers: dict[str, Any] = field(default_factory=dict)


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, a tied tensor once, without what adapters leave as it came.

    They share memory with the module.
    """
    base, seen = getattr(module, BASE, frozenset[str]()), set[int]()
    found: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen and name not in base:
            seen.add(id(tensor))
            found[name] = tensor.detach()
    return found


def save_checkpoint(folder: Path, state: TrainingState, *, fingerprint: str, keep: int) -> Path:
    """Write step-<n>/ whole, check it, then delete all but the newest `keep`.

    RunError `nan_loss` instead of a checkpoint whose weights are not finite: going on from it could never end well.
    """
    final = folder / f"step-{state.step}"
    _check_weights(state)
    moments, groups = _optimizer_tensors(state.optimizer)
    tensors = {**_module_tensors(state.modules), **moments, **_generator_tensors()}
    fields = {"step": state.step, "numbers": state.numbers, "fingerprint": fingerprint, "groups": groups,
              "python_rng": random.getstate(), "numpy_rng": _numpy_state(), "versions": versions()}  # fmt: skip

    def write(temporary: Path) -> None:
        save_file(
            {name: t.detach().cpu().contiguous() for name, t in tensors.items()},
            temporary / "tensors.safetensors",
        )
        fsync_path(temporary / "tensors.safetensors")
        write_json(temporary / "state.json", fields)
        files = {
            p.name: {"sha256": sha256_of(p), "size": p.stat().st_size} for p in sorted(temporary.iterdir())
        }
        write_json(temporary / "MANIFEST.json", {"schema": 1, "step": state.step, "files": files})
        verify_checkpoint(temporary)

    publish_folder(final, write)
    for old in checkpoints(folder)[:-keep]:
        _discard(old)
    return final


def _check_weights(state: TrainingState) -> None:
    for module in state.modules.values():
        for name, weights in module.named_parameters():
            if not bool(torch.isfinite(weights).all()):
                raise RunError(
                    "nan_loss",
                    f"After step {state.step} the weights {name} are not finite.",
                    "Lower the learning rate, or resume from the last checkpoint with other settings.",
                )


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of an attempt, oldest first."""
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def drop_checkpoints(folder: Path, *, after: int) -> None:
    """Delete the checkpoints after a step, newest first. Their rows are dropped at the same time, and a new one needs the name."""
    for path in reversed(checkpoints(folder)):
        if int(path.name.removeprefix("step-")) > after:
            _discard(path)


def _discard(path: Path) -> None:
    """Delete a checkpoint, its name first: what has the name is whole at every instant."""
    shutil.rmtree(path.replace(path.with_name(f"{path.name}.old.tmp")))


def verify_checkpoint(path: Path) -> None:
    """Compare every file with MANIFEST.json. Raises RunError `checkpoint_damaged`."""
    if fault := manifest_fault(path):
        raise RunError("checkpoint_damaged", f"{path.name}: {fault}.", "Resume from an earlier checkpoint.")


def load_checkpoint(path: Path, state: TrainingState, *, fingerprint: str) -> dict[str, list[str | None]]:
    """Put a checkpoint back into `state` and into the generators of python, numpy and torch.

    Returns what has changed in the machine since, by name: [then, now]. Where anything has, the run is still right but
    may differ from an uninterrupted one in the last bits.
    """
    verify_checkpoint(path)
    fields = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if fields["fingerprint"] != fingerprint:
        raise RunError(
            "checkpoint_mismatch",
            f"{path.name} was made with other settings or inputs.",
            "Resume with the same run, or start anew.",
        )
    tensors = load_file(path / "tensors.safetensors")
    with torch.no_grad():
        for name, target in _module_tensors(state.modules).items():
            target.copy_(tensors[name])
    _restore_optimizer(state.optimizer, fields["groups"], tensors)
    version, internal, gauss = fields["python_rng"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = fields["numpy_rng"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(tensors["rng/torch"])
    if torch.cuda.is_available() and "rng/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng/cuda"])
    state.step, state.numbers = fields["step"], fields["numbers"]
    then, now = fields.get("versions", {}), versions()
    return {
        name: [then.get(name), now.get(name)]
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    }


def _module_tensors(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"module/{key}/{name}": t
        for key, module in modules.items()
        for name, t in own_tensors(module).items()
    }


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    saved = optimizer.state_dict()
    tensors = {
        f"optimizer/{index}/{name}": t for index, entry in saved["state"].items() for name, t in entry.items()
    }
    return tensors, saved["param_groups"]


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, groups: list[dict[str, Any]], tensors: Mapping[str, Tensor]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = tensor
    for group in groups:
        group["betas"] = tuple(group["betas"])  # JSON knows no tuples.
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _generator_tensors() -> dict[str, Tensor]:
    states = {"rng/torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["rng/cuda"] = torch.cuda.get_rng_state()
    return states


def _numpy_state() -> list[Any]:
    kind, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
    return [kind, keys.tolist(), *rest]
