"""Several processes, one model: data parallel training, where every process (a rank) has the whole model.

    torchrun --nproc-per-node 2 -m training.core sft runs/2/run.json

An update of any stage is "for each part: backward(sum of its losses / count of the whole batch)". So each rank takes its
share of the same batch, and the gradients of all ranks are added up before the one optimizer step. That is why no
DistributedDataParallel is wrapped around a model: it averages what each rank normalised by itself, fires at every
backward, and needs to be told of weights that a pass does not use (find_unused_parameters). Here the denominator stays
the whole batch's, there is one all-reduce a step however many parts it has, and one process or several take the same
optimizer steps on the same data; their results differ by the order in which float32 sums are taken, about 1e-7.

Everything that decides where a run goes (batches, prompts, stop rules, prices) is computed alike on every rank from
numbers that were added up; rank 0 alone writes. accelerate starts the process group and chooses the device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.core.errors import PeerLost
from training.core.machine import ranks
from training.core.run_folder import StopFlag

T = TypeVar("T")

BUCKET_NUMBERS = 16_777_216
"""Gradients travel in pieces of this size (64 MB), which is all the memory it takes."""
PATIENCE = timedelta(hours=2)
"""The first rank may write a large checkpoint or long samples while the others wait."""


@contextmanager
def _together() -> Iterator[None]:
    """What a collective operation raises is never this rank's own fault."""
    try:
        yield
    except RuntimeError as gone:
        raise PeerLost(str(gone)) from gone


class World:
    """The processes of this run. It has no state of its own: without a process group there is one rank, which has all."""

    @property
    def size(self) -> int:
        return dist.get_world_size() if dist.is_initialized() else 1

    @property
    def rank(self) -> int:
        return dist.get_rank() if dist.is_initialized() else 0

    @property
    def is_first(self) -> bool:
        """Rank 0, which writes metrics, samples, checkpoints and the model."""
        return self.rank == 0

    def start(self, device: str) -> torch.device:
        """Join the group that torchrun's variables describe, if any, and choose the device ("auto", "cpu" or "cuda").

        Ranks compute on the GPU of their local number and speak NCCL, or on the CPU and speak gloo.
        """
        cpu = device == "cpu" or not torch.cuda.is_available()
        if ranks() == 1:
            return torch.device("cpu" if cpu else "cuda")
        from accelerate import PartialState

        with _together():
            return torch.device(PartialState(cpu=cpu, timeout=PATIENCE).device)

    def leave(self) -> None:
        """Close the group. Ranks that failed just go: the others notice."""
        if dist.is_initialized():
            dist.destroy_process_group()

    # --- who does what ----------------------------------------------------------------------------------------------

    def share(self, items: Sequence[T], cost: Callable[[T], float]) -> list[T]:
        """This rank's items, in their order. All ranks' shares together are the items, and cost about the same.

        Largest first to whoever has least (Graham 1969): no rank has more than 4/3 of what it would have at best.
        """
        if self.size == 1:
            return list(items)
        loads = [0.0] * self.size
        owner = [0] * len(items)
        for i in sorted(range(len(items)), key=lambda i: (-cost(items[i]), i)):
            owner[i] = loads.index(min(loads))
            loads[owner[i]] += cost(items[i])
        return [item for item, rank in zip(items, owner, strict=True) if rank == self.rank]

    # --- what all of them have together -------------------------------------------------------------------------------

    def sum_gradients(self, modules: Mapping[str, nn.Module]) -> None:
        """Replace each gradient by its sum over all ranks, the same bits on each. A weight has none where no rank has one."""
        if self.size == 1:
            return
        weights = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
        had = torch.tensor([float(p.grad is not None) for p in weights], device=weights[0].device)
        self.add_up(had)
        learned = [p for p, count in zip(weights, had.tolist(), strict=True) if count]
        for p in learned:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        for bucket in _buckets(learned):
            gradients = [p.grad for p in bucket if p.grad is not None]
            flat = torch.cat([g.flatten() for g in gradients])
            self.add_up(flat)
            for gradient, summed in zip(
                gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True
            ):
                gradient.copy_(summed.view_as(gradient))

    def add_up(self, *tensors: Tensor) -> None:
        """Replace tensors by their sums over all ranks. Where each element is 0 on all ranks but one, nothing is rounded."""
        if self.size > 1:
            for tensor in tensors:
                with _together():
                    dist.all_reduce(tensor)

    def sum(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Each number's sum over all ranks, those that some ranks lack included."""
        total: dict[str, float] = {}
        for one in self.gather(dict(numbers)):
            for name, number in one.items():
                total[name] = total.get(name, 0.0) + number
        return total

    def highest(self, number: float) -> float:
        """The largest of all ranks' numbers; NaN if any is."""
        found = self.gather(number)
        return next((one for one in found if one != one), max(found))

    def gather(self, thing: T) -> list[T]:
        """What each rank has, by rank: small values that JSON can write. Floats arrive exactly, NaN too; tuples as lists.

        TypeError on every rank that has something else, before anything is sent.
        """
        if self.size == 1:
            return [thing]
        text = _as_json(thing)
        sizes = self._gathered(torch.tensor([len(text)]))
        room = torch.zeros(int(max(sizes)), dtype=torch.uint8)
        room[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        rows = self._gathered(room)
        return [json.loads(row[: int(n)].numpy().tobytes()) for row, n in zip(rows, sizes, strict=True)]

    def _gathered(self, mine: Tensor) -> list[Tensor]:
        """Tensors of one shape from all ranks. NCCL carries what lies on a GPU, gloo what lies in memory."""
        own = mine.cuda() if dist.get_backend() == "nccl" else mine
        found = [torch.empty_like(own) for _ in range(self.size)]
        with _together():
            dist.all_gather(found, own)
        return [one.cpu() for one in found]

    def hear(self, stop: StopFlag) -> None:
        """A signal to one rank is a signal to all."""
        if signum := int(self.highest(stop.signum or 0)):
            stop.signum = signum

    def wait(self) -> None:
        """Go on when all ranks have come here."""
        if self.size > 1:
            with _together():
                dist.barrier()


def _as_json(thing: object) -> bytes:
    try:
        return json.dumps(thing).encode()
    except (TypeError, ValueError) as wrong:
        raise TypeError(
            f"Ranks tell each other JSON, and this is none ({wrong}). Remedy: gather its numbers and strings."
        ) from wrong


def _buckets(weights: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Weights in their order, in pieces of at most BUCKET_NUMBERS numbers of one format; a larger one is a piece alone."""
    bucket: list[nn.Parameter] = []
    size = 0
    for p in weights:
        if bucket and (size + p.numel() > BUCKET_NUMBERS or p.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(p)
        size += p.numel()
    if bucket:
        yield bucket


world = World()
