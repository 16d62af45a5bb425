"""Low-rank adapters (LoRA, Hu et al. 2106.09685): W x + alpha / r B A x beside each matrix W of the blocks, and only A and B learn.

A (r, in) starts at random and B (out, r) at 0, so that the model starts as its input, bit for bit. Embeddings, norms,
biases and the head over the vocabulary stay as they came; a ScalarModel's score head is new or must move, and learns whole.
What is published is W + alpha / r B A, a model as any other, so that nothing that reads one has to know of adapters and
no score head can be left behind.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from inference.engine.models import ScalarModel
from training.core.checkpoint import BASE
from training.core.config import TunedConfig
from training.core.errors import RunError
from training.core.loop import stream_seed
from training.core.run_folder import Run

M = TypeVar("M", bound=nn.Module)


def add_adapters(run: Run, *models: nn.Module) -> None:
    """With `lora_rank`: freeze the models but for new adapters and score heads. The same run draws the same adapters."""
    cfg = cast(TunedConfig, run.config)
    if cfg.lora_rank == 0:
        return
    for number, model in enumerate(models):
        trunk = _trunk(model)
        matrices = dict(_matrices(trunk))
        if not matrices:
            raise RunError(
                "no_adapters",
                f"{type(trunk).__name__} has no linear layer in its blocks that an adapter could stand beside.",
                "Set lora_rank to 0: all weights are then trained.",
            )
        model.requires_grad_(requires_grad=False)
        _inject(trunk, matrices, cfg)
        _draw(model, torch.Generator().manual_seed(stream_seed(run.seed, "adapters", number)))
        if isinstance(model, ScalarModel):
            model.score.requires_grad_(requires_grad=True)
        tensors = model.state_dict(keep_vars=True).items()
        base = {name for name, t in tensors if isinstance(t, nn.Parameter) and not t.requires_grad}
        setattr(model, BASE, frozenset(base))


def kept_copy(model: M) -> M:
    """A copy that does not learn by itself. What the model's adapters leave as it came is shared and not copied."""
    base = getattr(model, BASE, frozenset[str]())
    shared: dict[int, Any] = {
        id(t): t for name, t in model.state_dict(keep_vars=True).items() if name in base
    }
    return copy.deepcopy(model, shared).requires_grad_(requires_grad=False)


def merged_copy(model: M) -> M | None:
    """The plain model that a model with adapters amounts to, in memory of its own; None where there are none."""
    if not hasattr(model, BASE):
        return None
    whole = copy.deepcopy(model)
    for module in list(whole.modules()):
        for name, child in list(module.named_children()):
            if hasattr(child, "lora_A"):
                layer: Any = child
                layer.merge()
                setattr(module, name, layer.get_base_layer())
    delattr(whole, BASE)
    delattr(_trunk(whole), "peft_config")
    return whole


def _trunk(model: nn.Module) -> nn.Module:
    found: nn.Module = model.backbone if isinstance(model, ScalarModel) else cast(Any, model).base_model
    return found


def _matrices(trunk: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers of the blocks, by name. Blocks are what the trunk has a list of."""
    for name, blocks in trunk.named_modules():
        if isinstance(blocks, nn.ModuleList):
            for inner, module in blocks.named_modules(prefix=name):
                if isinstance(module, nn.Linear | Conv1D):
                    yield inner, module


def _inject(trunk: nn.Module, matrices: dict[str, nn.Module], cfg: TunedConfig) -> None:
    # It takes seconds, which runs without adapters need not wait.
    from peft import LoraConfig, inject_adapter_in_model

    lora = LoraConfig(
        r=cfg.lora_rank, lora_alpha=cast(int, cfg.lora_alpha), lora_dropout=0.0, target_modules=list(matrices),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in matrices.values()),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # It draws from the stream of dropout, and is drawn again.
        inject_adapter_in_model(lora, trunk)


@torch.no_grad()
def _draw(model: nn.Module, generator: torch.Generator) -> None:
    """A uniform in +- 1 / sqrt(in), as the authors' code has it (microsoft/LoRA), and B zero. On the CPU: every device has the same."""
    for module in model.modules():
        if hasattr(module, "lora_A"):
            layer: Any = module
            a_RI, b_OR = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            a_RI.copy_((2 * torch.rand(a_RI.shape, generator=generator) - 1) / math.sqrt(a_RI.shape[1]))
            b_OR.zero_()
