"""PPO: the exact optimum by our trainer, then time and memory against the PPO that TRL had until 1.12."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.peers.call import PeerFailed, call, optimizer_of
from benchmarks.peers.rows import Row, Spent, middle, time_row
from benchmarks.training_policy import (
    WORK,
    Cost,
    Optimum,
    Workload,
    in_a_child,
    missed,
    optimum,
    prompt_rows,
    write_models,
)
from training.core.config import PPOConfig

BAR = 2.0
BARRED = ("E6", "1.35M")
MEMORY = "32k"


def optimum_rows(first: int, seeds: Mapping[str, int]) -> Iterator[Row]:
    """E6, E6b and E6c: how much of the gap between the reference and the exact optimum is closed, {algorithm: seeds}."""
    for kind, count in seeds.items():
        found = []
        for seed in range(first, first + count):
            one = optimum(kind, seed)
            found.append(one)
            yield Row(
                what=f"  {kind} seed {seed}",
                ours=100 * one.closed,
                unit="% of the gap closed",
                note=_where(one),
            )
        faults = missed(found)
        yield Row(
            what=f"{kind} against the exact optimum (E6)", ours=100 * median(one.closed for one in found),
            unit="% of the gap closed", bar=">= 95", holds=not faults,
            note="; ".join(f"not so: {fault}" for fault in faults) or f"median of {len(found)} seeds; every check holds",
        )  # fmt: skip


def _where(one: Optimum) -> str:
    return (
        f"reward {one.reward:.3f} at KL {one.kl:.3f}; best of n {one.best_of_n:.3f}, frontier {one.frontier:.3f}; "
        f"{one.cpu_s:.0f} CPU s"
    )


def cost_rows(names: Sequence[str], repeats: int) -> Iterator[Row]:
    """The same episodes, answers of the same length, epochs x minibatches; each side in a process of its own."""
    for name in names:
        mine, theirs = [], []
        for _ in range(repeats if name in BARRED else 1):
            mine.append(in_a_child(name))
            theirs.append(_peer(WORK[name]))
        work = WORK[name]
        if mine[0].optimizer_steps != theirs[0].optimizer_steps:
            raise PeerFailed(
                f"{name}: {mine[0].optimizer_steps} optimizer steps against {theirs[0].optimizer_steps}."
            )
        yield time_row(
            f"PPO, {name}: {mine[0].weights / 1e6:.2f} M weights, vocabulary {work.vocabulary:,}",
            middle(map(_spent, mine)), middle(map(_spent, theirs)),
            "CPU s / 1,000 tokens", BAR if name in BARRED else None, _same_work(work, mine[0], theirs[0]),
        )  # fmt: skip
        if name == MEMORY:
            yield _memory_row(work, mine, theirs)


def _same_work(work: Workload, ours: Cost, peer: Cost) -> str:
    length = "exactly" if not work.ends else "EOS, or at most"
    return (
        f"{work.episodes} episodes, answers of {length} {work.new_tokens} tokens, {work.epochs} x {work.minibatches}; "
        f"{ours.tokens:,} and {peer.tokens:,} tokens, {ours.optimizer_steps} steps on both sides"
    )


def _memory_row(work: Workload, mine: Sequence[Cost], theirs: Sequence[Cost]) -> Row:
    ours, peer = (median(one.peak_rss_mb for one in side) for side in (mine, theirs))
    return Row(
        what=f"PPO, peak memory at a vocabulary of {work.vocabulary:,}", ours=ours, peer=peer, unit="MB above the imports",
        ratio=peer / ours, bar="> 1x", holds=ours < peer, note=f"micro-batches of {_micro_batch(work)} episodes on both sides",
    )  # fmt: skip


def _peer(work: Workload) -> Cost:
    batch = _micro_batch(work)
    # Accelerate makes every micro-batch an optimizer step in the last batch of a pass: here that batch never comes.
    passes = work.iterations * work.episodes // work.prompts + 1
    cfg = PPOConfig(lr=work.lr)
    with tempfile.TemporaryDirectory() as name:
        write_models(work, Path(name))
        asked = [[int(word[1:]) for word in row["prompt"][0]["content"].split()] for row in prompt_rows(work)]
        job: dict[str, Any] = {
            "policy": f"{name}/policy", "reward": f"{name}/reward", "prompts": asked * passes, "seed": work.seed,
            "iterations": work.iterations, "episodes": work.episodes, "epochs": work.epochs, "minibatches": work.minibatches,
            "new_tokens": work.new_tokens, "kl_coef": work.kl_coef, "batch_size": batch,
            "accumulation": work.episodes // batch, "optimizer": optimizer_of(cfg), "ends": work.ends > 0,
        }  # fmt: skip
        found = call("1.12", "trl_ppo", job, threads=torch.get_num_threads())
    episodes = work.iterations * work.episodes
    return Cost(
        0, found["cpu_s"], found["wall_s"], episodes, found["tokens"], found["optimizer_steps"], found["peak_rss_mb"]
    )  # fmt: skip


def _micro_batch(work: Workload) -> int:
    """Episodes in one forward pass: what our budget of tokens holds, and a divisor of the batch as TRL wants it."""
    fit = work.micro_batch_tokens // (work.prompt_tokens + work.new_tokens)
    return max(n for n in range(1, work.episodes + 1) if work.episodes % n == 0 and n <= max(fit, 1))


def _spent(cost: Cost) -> Spent:
    return Spent(cost.cpu_s, cost.wall_s).per(cost.tokens / 1000)
