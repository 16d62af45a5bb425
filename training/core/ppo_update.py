"""PPO's inner loop: epochs x minibatches optimizer steps on one scored rollout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from training.core.checkpoint import TrainingState
from training.core.config import PPOConfig
from training.core.loop import Numbers, check_finite, micro_batches, optimizer_step, permutation
from training.core.losses import kl_k3, masked_sum, policy_losses, value_losses
from training.core.rollout import Actors, Rollout, answer_logprobs, answer_values


@dataclass(frozen=True)
class Batch:
    """A rollout with what PPO learns from; (B, R) tensors, all fixed while it learns."""

    rollout: Rollout
    mask_BR: Tensor
    logp_BR: Tensor
    values_BR: Tensor
    advantages_BR: Tensor
    returns_BR: Tensor


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
    cfg: PPOConfig,
    factor: float,
) -> Numbers:
    """Exactly epochs x minibatches optimizer steps, fewer only where `epoch_kl_limit` ends them. Means over those steps."""
    rows: list[Numbers] = []
    norms: list[Numbers] = []
    for minibatch in (one for minibatches_of_pass in passes for one in minibatches_of_pass):
        rows.append(gradients(actors, batch, minibatch, cfg))
        if cfg.epoch_kl_limit is not None and rows[-1]["ppo/approx_kl"] > cfg.epoch_kl_limit:
            state.optimizer.zero_grad(set_to_none=True)
            break
        trained = {"policy": actors.policy, "value": actors.value}
        norms.append(optimizer_step(state.optimizer, trained, cfg, factor))
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    means["ppo/first_ratio_error"] = rows[0]["ppo/first_ratio_error"]
    lengths = {
        f"ppo/{name}_grad_norm": sum(n[name] for n in norms) / len(norms)
        for name in (norms[0] if norms else ())
    }
    return {**means, **lengths, "ppo/lr": cfg.lr * factor, "ppo/optimizer_steps": len(norms)}


def gradients(actors: Actors, batch: Batch, minibatch: Sequence[int], cfg: PPOConfig) -> Numbers:
    """Gather the gradients of a minibatch, part by part, all divided by the answer tokens of the whole minibatch."""
    tokens = int(batch.mask_BR[torch.tensor(minibatch, device=batch.mask_BR.device)].sum())
    sums: dict[str, float] = defaultdict(float)
    worst = 0.0
    for part in micro_batches(minibatch, batch.rollout.cost, cfg.micro_batch_tokens):
        rows = torch.tensor(part, device=batch.mask_BR.device)
        mask, old, width = batch.mask_BR[rows], batch.logp_BR[rows], batch.mask_BR.shape[1]
        logp, _ = answer_logprobs(actors.policy, batch.rollout, part, width)
        value = answer_values(actors.value, batch.rollout, part, width)
        policy = policy_losses(logp, old, batch.advantages_BR[rows], clip=cfg.clip)
        critic = value_losses(value, batch.values_BR[rows], batch.returns_BR[rows], clip=cfg.value_clip)
        loss = (masked_sum(policy, mask) + cfg.value_coef * masked_sum(critic, mask)) / tokens
        torch.autograd.backward(loss)
        with torch.no_grad():
            ratio = (logp - old).exp()
            watched = {
                "ppo/policy_loss": policy,
                "ppo/value_loss": critic,
                "ppo/approx_kl": 0.5 * (logp - old) ** 2,
                "ppo/approx_kl_k3": kl_k3(old, logp),
                "ppo/clip_share": ((ratio - 1).abs() > cfg.clip).float(),
                "ppo/value_clip_share": ((value - batch.values_BR[rows]).abs() > cfg.value_clip).float(),
            }
            for name, x in watched.items():
                sums[name] += float(masked_sum(x, mask))
            worst = max(worst, float(((ratio - 1).abs() * mask).max()))
    for name in ("ppo/policy_loss", "ppo/value_loss"):
        check_finite(sums[name], name)
    return {**{name: total / tokens for name, total in sums.items()}, "ppo/first_ratio_error": worst}
