"""The inner loop of PPO and RLOO: epochs x minibatches optimizer steps on one scored rollout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, where, zeros_like

from training.core.checkpoint import TrainingState
from training.core.config import PolicyConfig
from training.core.loop import Numbers, autocast, check_finite, optimizer_step, permutation
from training.core.losses import kl_k3, masked_sum, policy_losses, value_losses
from training.core.meter import meter, whole
from training.core.parallel import world
from training.core.rollout import Actors, Rollout, answer_logprobs, answer_values

KL_TOLERANCE = 1.5
"""An update may go this many times epoch_kl_target far before the rest of it is skipped (the old target_kl of TRL)."""


@dataclass(frozen=True)
class Critic:
    """What the value network learns; (B, R) tensors."""

    values_BR: Tensor
    returns_BR: Tensor
    clip: float
    coef: float


@dataclass(frozen=True)
class Batch:
    """A rollout with what is learned from it, all fixed meanwhile.

    Advantages are (B, R) where every token is an action (PPO), and (B,) where the whole answer is one (RLOO).
    """

    rollout: Rollout
    mask_BR: Tensor
    logp_BR: Tensor
    advantages: Tensor
    critic: Critic | None = None

    @property
    def takes_answers_whole(self) -> bool:
        return self.advantages.ndim == 1

    def rows(self, indices: Sequence[int]) -> Tensor:
        return torch.tensor(indices, device=self.mask_BR.device)


def minibatches(count: int, parts: int, seed: int, step: int, epoch: int) -> list[list[int]]:
    """A shuffled 0 .. count - 1 in `parts` pieces whose sizes differ by at most one; nothing is left over."""
    order = permutation(count, seed, "minibatches", step, epoch)
    borders = [count * i // parts for i in range(parts + 1)]
    return [order[a:b] for a, b in pairwise(borders)]


def learn(
    actors: Actors,
    batch: Batch,
    passes: Sequence[Sequence[Sequence[int]]],
    state: TrainingState,
    cfg: PolicyConfig,
    factor: float,
    mix: Callable[[int, int], Numbers] | None = None,
) -> Numbers:
    """Exactly epochs x minibatches optimizer steps, fewer only where `epoch_kl_target` ends them. Means over those steps.

    `mix(a, b)` adds the gradients of other text for the episodes a .. b - 1 of these passes, before the same step.
    """
    rows: list[Numbers] = []
    norms: list[Numbers] = []
    seen = 0
    for minibatch in (one for minibatches_of_pass in passes for one in minibatches_of_pass):
        rows.append(gradients(actors, batch, minibatch, cfg))
        if _too_far(rows[-1], cfg):
            state.optimizer.zero_grad(set_to_none=True)
            break
        if mix is not None:
            rows[-1] |= mix(seen, seen + len(minibatch))
        seen += len(minibatch)
        norms.append(optimizer_step(state.optimizer, actors.trained, cfg, factor))
    lengths = {f"{name}_grad_norm": norm for name, norm in _means(norms).items()}
    return {
        **_means(rows), "first_ratio_error": rows[0]["first_ratio_error"], **lengths, "lr": cfg.lr * factor,
        "optimizer_steps": len(norms),
    }  # fmt: skip


def _too_far(row: Numbers, cfg: PolicyConfig) -> bool:
    return cfg.epoch_kl_target is not None and row["approx_kl"] > KL_TOLERANCE * cfg.epoch_kl_target


def _means(rows: Sequence[Numbers]) -> Numbers:
    """Of each number over the rows that have it."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, number in row.items():
            found[name].append(number)
    return {name: sum(numbers) / len(numbers) for name, numbers in found.items()}


def gradients(actors: Actors, batch: Batch, minibatch: Sequence[int], cfg: PolicyConfig) -> Numbers:
    """Gather the gradients of a minibatch, part by part, each divided by what the whole minibatch holds: its answer
    tokens, or its answers where they are taken whole (a mean over answers of a sum over tokens, as in 2402.14740)."""
    tokens = int(batch.mask_BR[batch.rows(minibatch)].sum())
    actions = len(minibatch) if batch.takes_answers_whole else tokens
    sums: dict[str, float] = defaultdict(float)
    worst = 0.0
    with meter.phase("forward_backward"):
        for part in batch.rollout.parts(minibatch, cfg.micro_batch_tokens):
            # The policy's graph is gone before the value network's is made: one of them at a time stands in memory.
            found = policy_gradients(actors, batch, part, cfg, actions)
            worst = max(worst, found.pop("first_ratio_error"))
            if batch.critic is not None:
                found |= value_gradients(actors, batch, batch.critic, part, cfg, tokens)
            for name, total in found.items():
                sums[name] += total
        sums, worst = world.sum(sums), world.highest(worst)
    meter.trained(whole([batch.rollout.cost(i)[1] for i in minibatch]), *actors.trained.values())
    for name in ("policy_loss", "value_loss"):
        check_finite(sums.get(name, 0.0), name)
    counts = {"policy_loss": actions, "clip_share": actions}
    return {name: total / counts.get(name, tokens) for name, total in sums.items()} | {
        "first_ratio_error": worst
    }


def policy_gradients(
    actors: Actors, batch: Batch, part: Sequence[int], cfg: PolicyConfig, actions: int
) -> Numbers:
    """Sums over a part; the gradient is divided by `actions`."""
    rows = batch.rows(part)
    mask, old = batch.mask_BR[rows], batch.logp_BR[rows]
    with autocast(mask.device, enabled=cfg.autocast_bf16):
        logp, _ = answer_logprobs(actors.policy, batch.rollout, part, mask.shape[1])
    new_action, old_action, real = logp, old, mask
    if batch.takes_answers_whole:
        new_action = where(mask.bool(), logp, zeros_like(logp)).sum(1)
        old_action, real = old.sum(1), torch.ones_like(mask[:, 0])
    losses = policy_losses(
        new_action, old_action, batch.advantages[rows], clip=cfg.clip, dual_clip=cfg.dual_clip
    )
    total = masked_sum(losses, real)
    torch.autograd.backward(total / actions)
    with torch.no_grad():
        moved, ratio = where(mask.bool(), logp - old, zeros_like(old)), (new_action - old_action).exp()
        return {
            "policy_loss": float(total),
            "clip_share": float(masked_sum(((ratio - 1).abs() > cfg.clip).float(), real)),
            "approx_kl": float(masked_sum(0.5 * moved**2, mask)),
            "approx_kl_k3": float(masked_sum(kl_k3(old, logp), mask)),
            "first_ratio_error": float((moved.exp() - 1).abs().max()),
        }


def value_gradients(
    actors: Actors, batch: Batch, critic: Critic, part: Sequence[int], cfg: PolicyConfig, tokens: int
) -> Numbers:
    """Sums over a part; the gradient is `coef` times theirs divided by `tokens`."""
    assert actors.value is not None  # noqa: S101 - a batch has a critic where there is a value network
    rows = batch.rows(part)
    mask, old = batch.mask_BR[rows], critic.values_BR[rows]
    with autocast(mask.device, enabled=cfg.autocast_bf16):
        value = answer_values(actors.value, batch.rollout, part, mask.shape[1])
    total = masked_sum(value_losses(value, old, critic.returns_BR[rows], clip=critic.clip), mask)
    torch.autograd.backward(critic.coef * total / tokens)
    with torch.no_grad():
        moved = ((value - old).abs() > critic.clip).float()
        return {"value_loss": float(total), "value_clip_share": float(masked_sum(moved, mask))}
