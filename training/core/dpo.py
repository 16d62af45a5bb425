"""Direct preference optimization on whole rankings, after Rafailov et al. (2305.18290).

    python -m training.core dpo runs/5/run.json

The data are those of the reward model: K answers with ranks, as ids where they were sampled. Every answer goes through the
policy once, and all pairs (or Plackett-Luce choices) of a ranking come from those K sums: K passes where training on pairs
takes K (K - 1). The reference (inputs.reference, or else the policy's start) reads every answer once, before training.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.models import disable_dropout
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState
from training.core.config import DPOConfig
from training.core.data import Dropped, Prompt, add_dropped, require_some, require_weight
from training.core.loop import (
    Numbers,
    autocast,
    check_finite,
    due,
    evaluating,
    lr_factor,
    make_optimizer,
    micro_batches,
    optimizer_step,
    pad,
    permutation,
    prepare,
    run_steps,
    sorted_batches,
    start,
    stream_seed,
)
from training.core.losses import (
    implicit_rewards,
    kept_pairs,
    kl_k1,
    masked_sum,
    plackett_luce_losses,
    preference_losses,
)
from training.core.meter import meter, whole
from training.core.parallel import world
from training.core.preferences import Preference, ReferenceLogprobs, answers_in, prompts_of, read_preferences
from training.core.rollout import answer_logprobs, answer_mask, sample
from training.core.run_folder import Run
from training.core.stage import (
    SampleBook,
    check_same_tokenizer,
    context_of,
    fit_into_memory,
    load_policy_input,
    policy_saver,
    token_logprobs_of,
    vocabulary_of,
)


def train_dpo(run: Run) -> dict[str, Any]:
    """Train and publish; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(DPOConfig, run.config), prepare(run)
    policy, reference, tokenizer = load_models(run, device)
    limit, vocabulary = min(cfg.max_length, context_of(policy), context_of(reference)), vocabulary_of(policy)
    dropped, dropped_valid = Dropped(), Dropped()
    data = run.input("dataset")
    train = read_preferences(data, "train.jsonl", tokenizer, limit, vocabulary, dropped)
    known = answers_in(train)
    valid = read_preferences(data, "valid.jsonl", tokenizer, limit, vocabulary, dropped_valid, first=known)
    require_some(train, "rankings with a preference", dropped)
    require_weight([one.ranking for one in train], "train.jsonl")
    add_dropped(dropped, dropped_valid, "valid")
    fit_into_memory(run, policy)
    cache = ReferenceLogprobs(known + answers_in(valid)).to(device)
    state = TrainingState(
        modules={"model": policy, "reference_logprobs": cache},
        optimizer=make_optimizer([(policy, cfg.lr)], cfg),
    )
    steps_per_epoch = len(batches_of(train, cfg, run.seed, 0))
    total = cfg.epochs * steps_per_epoch
    report = start(run, state, total)
    if run.resume_from is None:
        fill(cache, reference, train, valid, cfg, run.seed)
    asked = prompts_of(valid or train)
    book = SampleBook(run, tokenizer, asked, limit)

    def measured() -> Numbers:
        with meter.phase("eval"):
            return held_out(policy, valid, cache, cfg) | distance(
                policy, reference, tokenizer, asked, cfg, run.seed
            )

    def do_step(step: int) -> Numbers:
        epoch, place = divmod(step, steps_per_epoch)
        with meter.phase("data"):
            batch = [train[i] for i in batches_of(train, cfg, run.seed, epoch)[place]]
        row = update(
            policy, batch, cache, state, cfg, lr_factor(step, total, cfg.lr_schedule, cfg.warmup_steps)
        )
        if due(step + 1, cfg.eval_every, total):
            row |= measured()
        if due(step + 1, cfg.sample_every, total):
            book.write(report, step + 1, policy)
        return row

    if state.step == 0:
        report.log(0, measured())
        book.write(report, 0, policy)
    policy.train()
    last = run_steps(run, state, report, do_step)
    publish_model(run, "model", policy_saver(policy, tokenizer, cfg), last, dropped)
    return result(
        run.kind,
        state.step,
        last,
        dropped,
        time.monotonic() - began,
        rankings=len(train),
        valid_rankings=len(valid),
    )


def load_models(
    run: Run, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedModel, PreTrainedTokenizerBase]:
    """Policy, frozen reference and their tokenizer, without any dropout: the two differ by what was learned alone."""
    policy, tokenizer = load_policy_input(run, "model", device)
    reference, other = load_policy_input(run, "reference" if "reference" in run.inputs else "model", device)
    check_same_tokenizer(tokenizer, other, "The policy and its reference")
    for model in (policy, reference):
        disable_dropout(model)
    return policy, reference.requires_grad_(requires_grad=False), tokenizer


# --- what a model says of the answers -------------------------------------------------------------------------------


def batches_of(rows: Sequence[Preference], cfg: DPOConfig, seed: int, epoch: int) -> list[list[int]]:
    """Batches of ranking indices: whole rankings, shuffled by seed and epoch."""
    return sorted_batches([], permutation(len(rows), seed, "order", epoch), cfg.batch_size, 1, seed)


def parts_of(rows: Sequence[Preference], cfg: DPOConfig) -> list[list[Preference]]:
    """This rank's share of the rows, in micro-batches of whole rankings."""
    mine = world.share(range(len(rows)), lambda i: rows[i].cost[0] * rows[i].cost[1])
    parts = micro_batches(mine, lambda i: rows[i].cost, cfg.micro_batch_tokens)
    return [[rows[i] for i in part] for part in parts]


def answer_logps(model: PreTrainedModel, rows: Sequence[Preference], cfg: DPOConfig) -> Tensor:
    """Log-probability, in nats, of every answer of these rankings given its prompt, (N,): one forward pass, a row an answer."""
    ids_NT, mask_NT = pad([answer for row in rows for answer in row.ranking.answers], model.device)
    starts_N1 = torch.tensor([[row.prompt_tokens] for row in rows for _ in row.ranking.answers])
    places_T = torch.arange(ids_NT.shape[1], device=model.device)
    answer_NT = mask_NT * (places_T >= starts_N1.to(model.device))
    with autocast(model.device, enabled=cfg.autocast_bf16):
        return token_logprobs_of(model, ids_NT, mask_NT, answer_NT)[0].sum(1)


@torch.no_grad()
def fill(
    cache: ReferenceLogprobs,
    reference: PreTrainedModel,
    train: Sequence[Preference],
    valid: Sequence[Preference],
    cfg: DPOConfig,
    seed: int,
) -> None:
    """Let the reference read every answer, in the parts in which the first epoch and the measurements will read them.

    With the same rows in the same shapes a policy that is still the reference has the same log-probabilities bit for bit,
    so that the first step starts from margins of exactly 0.
    """
    batches = [[train[i] for i in batch] for batch in batches_of(train, cfg, seed, 0)]
    for rows in (part for batch in [*batches, list(valid)] if batch for part in parts_of(batch, cfg)):
        cache.store(rows, answer_logps(reference, rows, cfg))
    world.add_up(cache.logp)  # Each answer was read by one rank; on the others it is 0.


@dataclass(frozen=True)
class Judged:
    """Rankings with the policy's implicit rewards; (B, K) tensors, K the most answers of a ranking here."""

    rewards_BK: Tensor
    logp_BK: Tensor
    ranks_BK: Tensor
    present_BK: Tensor

    def losses(self, cfg: DPOConfig) -> Tensor:
        """(B,): the loss of each ranking."""
        if cfg.loss == "plackett_luce":
            return plackett_luce_losses(self.rewards_BK, self.ranks_BK, self.present_BK)
        return preference_losses(
            self.rewards_BK, self.ranks_BK, self.present_BK, label_smoothing=cfg.label_smoothing
        )


def judge(
    model: PreTrainedModel, rows: Sequence[Preference], cache: ReferenceLogprobs, cfg: DPOConfig
) -> Judged:
    present_BK = torch.zeros(
        len(rows), max(len(row.ranking.answers) for row in rows), dtype=torch.bool, device=model.device
    )
    for b, row in enumerate(rows):
        present_BK[b, : len(row.ranking.answers)] = True

    def grid(x_N: Tensor) -> Tensor:
        return torch.zeros(present_BK.shape, dtype=x_N.dtype, device=x_N.device).masked_scatter(
            present_BK, x_N
        )

    logp_BK = grid(answer_logps(model, rows, cfg))
    ranks_N = torch.tensor([rank for row in rows for rank in row.ranking.ranks], device=model.device)
    tokens_N = torch.tensor([n for row in rows for n in row.answer_tokens], device=model.device)
    tokens_BK = grid(tokens_N) if cfg.length_normalize else None
    rewards_BK = implicit_rewards(logp_BK, grid(cache.of(rows)), beta=cfg.beta, tokens_BK=tokens_BK)
    return Judged(rewards_BK, logp_BK, grid(ranks_N), present_BK)


# --- learning and measuring -----------------------------------------------------------------------------------------


def update(
    model: PreTrainedModel,
    batch: Sequence[Preference],
    cache: ReferenceLogprobs,
    state: TrainingState,
    cfg: DPOConfig,
    factor: float,
) -> Numbers:
    """One optimizer step: sum over rankings of weight x their loss, divided by the rankings of the whole batch."""
    sums: dict[str, float] = defaultdict(float)
    with meter.phase("forward_backward"):
        for rows in parts_of(batch, cfg):
            judged = judge(model, rows, cache, cfg)
            weights_B = torch.tensor([row.ranking.weight for row in rows], device=model.device)
            loss = (judged.losses(cfg) * weights_B).sum() / len(batch)
            torch.autograd.backward(loss)
            sums["loss"] += float(loss.detach())
            _watch(judged, sums)
        sums = world.sum(sums)
    check_finite(sums["loss"], "dpo/loss")
    norms = optimizer_step(state.optimizer, {"model": model}, cfg, factor)
    meter.trained(whole([len(answer) for row in batch for answer in row.ranking.answers]), model)
    return {
        "dpo/loss": sums["loss"], **_means(sums, "dpo/"), "dpo/pairs": sums["pairs"], "dpo/grad_norm": norms["model"],
        "dpo/lr": cfg.lr * factor,
    }  # fmt: skip


@torch.no_grad()
def _watch(judged: Judged, sums: dict[str, float]) -> None:
    """Add up, over pairs without a tie, what the step and the held-out measurement both show."""
    pairs = kept_pairs(judged.ranks_BK, judged.present_BK)
    margin = judged.rewards_BK.unsqueeze(2) - judged.rewards_BK.unsqueeze(1)
    logp_BKK = judged.logp_BK.unsqueeze(2).expand(pairs.shape)
    sums["pairs"] += float(pairs.sum())
    sums["accuracy"] += float(masked_sum((margin.sign() + 1) / 2, pairs))
    sums["margin"] += float(masked_sum(margin, pairs))
    sums["chosen_logp"] += float(masked_sum(logp_BKK, pairs))
    sums["rejected_logp"] += float(masked_sum(logp_BKK.transpose(1, 2), pairs))


def _means(sums: dict[str, float], prefix: str) -> Numbers:
    names = ("accuracy", "margin", "chosen_logp", "rejected_logp")
    return {f"{prefix}{name}": sums[name] / sums["pairs"] for name in names}


def held_out(
    model: PreTrainedModel, rows: Sequence[Preference], cache: ReferenceLogprobs, cfg: DPOConfig
) -> Numbers:
    """Loss, accuracy, margin and log-probabilities on the validation rankings; nothing without any."""
    if not rows:
        return {}
    sums: dict[str, float] = defaultdict(float)
    with evaluating(model):
        for part in parts_of(rows, cfg):
            judged = judge(model, part, cache, cfg)
            sums["loss"] += float(judged.losses(cfg).sum())
            _watch(judged, sums)
    sums = world.sum(sums)
    return {"dpo/valid_loss": sums["loss"] / len(rows), **_means(sums, "dpo/valid_")}


def distance(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    cfg: DPOConfig,
    seed: int,
) -> Numbers:
    """KL of the policy from the reference, from fresh answers; the draws are the same each time, so that only the policy changes."""
    if not cfg.kl_samples:
        return {}
    asked = [prompts[i % len(prompts)] for i in range(cfg.kl_samples)]
    with evaluating(policy):
        rollout = sample(policy, tokenizer, asked, cfg, stream_seed(seed, "distance"))
        mask_BR = answer_mask(rollout, policy.device)
        kl_B = torch.zeros(len(asked), dtype=torch.float64, device=policy.device)
        for part in rollout.parts(range(len(asked)), cfg.micro_batch_tokens):
            own, its = (
                answer_logprobs(m, rollout, part, mask_BR.shape[1])[0].double() for m in (policy, reference)
            )
            kl_B[part] = (kl_k1(own, its) * mask_BR[part]).sum(1)
        world.add_up(kl_B)
    spread = float(kl_B.std(correction=0)) / math.sqrt(max(len(asked) - 1, 1))
    return {"dpo/kl": float(kl_B.mean()), "dpo/kl_se": spread}
