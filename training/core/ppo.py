"""PPO against a learned reward, after InstructGPT (2203.02155, section 3.5 and C.4).

    python -m training.core ppo runs/4/run.json

One step is one iteration: sample answers, score them, learn from them for `epochs` x `minibatches` optimizer steps.
Differs from the paper: no pretraining gradients are mixed in; the value network is a network of its own that starts as
the reward model, head and shift included (N+, 2403.17031); an answer that never ends has the score `no_eos_reward`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inference.engine.models import ScalarModel, disable_dropout
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState, own_tensors
from training.core.config import PPOConfig
from training.core.data import Dropped, Prompt, read_prompts, require_some
from training.core.loop import (
    Numbers,
    due,
    lr_factor,
    make_optimizer,
    micro_batches,
    permutation,
    prepare,
    run_steps,
    start,
    stream_seed,
)
from training.core.losses import (
    advantages,
    explained_variance,
    masked_mean,
    next_kl_coef,
    token_rewards,
    whiten,
)
from training.core.ppo_update import Batch, learn, minibatches
from training.core.report import Reporter
from training.core.rollout import Actors, RewardFunction, Scored, rollout_numbers, sample, score
from training.core.run_folder import Run
from training.core.stage import (
    SAMPLED_PROMPTS,
    check_same_tokenizer,
    checkpoint_activations,
    context_of,
    load_policy_input,
    load_scalar_input,
    new_scalar_input,
    policy_saver,
)


def train_ppo(run: Run, reward_function: RewardFunction | None = None) -> dict[str, Any]:
    """Train and publish; returns what result.json holds. A reward function takes the reward model's place in experiments."""
    began = time.monotonic()
    cfg, device = cast(PPOConfig, run.config), prepare(run)
    actors = load_actors(run, device, reward_function)
    checkpoint_activations(cfg, actors.policy, actors.value)
    dropped = Dropped()
    train, valid = _read_prompts(run, actors, cfg, dropped)
    state = new_state(actors, cfg)
    report = start(run, state, cfg.iterations)

    def do_step(step: int) -> Numbers:
        row = iterate(actors, state, _prompts_of(train, cfg, run.seed, step), cfg, run.seed, step)
        if due(step + 1, cfg.sample_every, cfg.iterations):
            _write_samples(report, step + 1, actors, (valid or train)[:SAMPLED_PROMPTS], cfg, run.seed)
        return row

    last = run_steps(run, state, report, do_step)
    published, final = _measured(run, actors, state, valid or train, cfg)
    last |= final
    if cfg.ema_decay is not None:
        publish_model(run, "policy_last", policy_saver(actors.policy, actors.tokenizer, cfg), last, dropped)
    publish_model(run, "model", policy_saver(published, actors.tokenizer, cfg), last, dropped)
    more = {"policy_last": "policy_last"} if cfg.ema_decay is not None else {}
    return result(
        run.kind,
        state.step,
        last,
        dropped,
        time.monotonic() - began,
        stopped=state.numbers.get("stopped"),
        **more,
    )


def load_actors(run: Run, device: torch.device, reward_function: RewardFunction | None) -> Actors:
    """Policy, frozen reference (inputs.reference, or else the policy's start), reward model, and the value network."""
    policy, tokenizer = load_policy_input(run, "model", device)
    reference, other = load_policy_input(run, "reference" if "reference" in run.inputs else "model", device)
    check_same_tokenizer(tokenizer, other, "The policy and its reference")
    reward: ScalarModel | RewardFunction
    if reward_function is None:
        reward, other = load_scalar_input(run, "reward", device)
        check_same_tokenizer(tokenizer, other, "The policy and the reward model")
        value = copy.deepcopy(reward)
        reward.requires_grad_(requires_grad=False)
    else:
        reward, value = reward_function, new_scalar_input(run, "model", device)
        nn.init.zeros_(value.score.weight)  # A head that knows nothing says 0 (lm-human-preferences).
    reference.requires_grad_(requires_grad=False)
    for model in (policy, reference, value, *([reward] if isinstance(reward, ScalarModel) else [])):
        disable_dropout(model.eval())
    return Actors(policy=policy, reference=reference, value=value, reward=reward, tokenizer=tokenizer)


def _read_prompts(
    run: Run, actors: Actors, cfg: PPOConfig, dropped: Dropped
) -> tuple[list[Prompt], list[Prompt]]:
    readers = [
        m for m in (actors.policy, actors.reference, actors.value, actors.reward) if isinstance(m, nn.Module)
    ]
    limit = min(map(context_of, readers)) - cfg.max_new_tokens
    dropped_valid = Dropped()
    train = read_prompts(run.input("dataset"), "train.jsonl", actors.tokenizer, limit, dropped)
    valid = read_prompts(run.input("dataset"), "valid.jsonl", actors.tokenizer, limit, dropped_valid)
    require_some(train, "prompts", dropped)
    dropped.update({f"valid_{reason}": count for reason, count in dropped_valid.items()})
    return train, valid


def new_state(actors: Actors, cfg: PPOConfig) -> TrainingState:
    modules: dict[str, nn.Module] = {"policy": actors.policy, "value": actors.value}
    optimizer = make_optimizer([(actors.policy, cfg.lr), (actors.value, cfg.value_lr)], cfg)
    if cfg.ema_decay is not None:
        modules["ema"] = copy.deepcopy(actors.policy).requires_grad_(requires_grad=False)
    if cfg.kl_budget is not None:
        modules["good"] = copy.deepcopy(actors.policy).requires_grad_(requires_grad=False)
    return TrainingState(modules=modules, optimizer=optimizer, numbers={"kl_coef": cfg.kl_coef})


def _prompts_of(prompts: Sequence[Prompt], cfg: PPOConfig, seed: int, step: int) -> list[Prompt]:
    """The prompts of an iteration: shuffled passes over all of them, one after another."""
    found: list[Prompt] = []
    for n in range(step * cfg.episodes, (step + 1) * cfg.episodes):
        epoch, place = divmod(n, len(prompts))
        if not found or place == 0:
            order = permutation(len(prompts), seed, "prompts", epoch)
        found.append(prompts[order[place]])
    return found


def iterate(
    actors: Actors, state: TrainingState, prompts: Sequence[Prompt], cfg: PPOConfig, seed: int, step: int
) -> Numbers:
    """One iteration. Sets state.numbers["stopped"] and learns nothing when the policy has left its KL budget."""
    began = time.perf_counter()
    rollout = sample(actors.policy, actors.tokenizer, prompts, cfg, stream_seed(seed, "rollout", step))
    sampled = time.perf_counter()
    passes = [minibatches(len(prompts), cfg.minibatches, seed, step, epoch) for epoch in range(cfg.epochs)]
    parts = [part for rows in passes[0] for part in micro_batches(rows, rollout.cost, cfg.micro_batch_tokens)]
    scored = score(actors, rollout, parts, cfg)
    row = rollout_numbers(scored, state.numbers["kl_coef"])
    if cfg.kl_budget is not None:
        if row["ppo/kl"] > cfg.kl_budget:
            state.numbers["stopped"] = "kl_budget"
            return row
        copy_weights(state.modules.get("ema", actors.policy), state.modules["good"])
    batch = with_advantages(scored, state.numbers["kl_coef"], cfg)
    row |= _before(scored, batch)
    scored_at = time.perf_counter()
    factor = lr_factor(step, cfg.iterations, cfg.lr_schedule, cfg.warmup_steps)
    row |= learn(actors, batch, passes, state, cfg, factor)
    if cfg.ema_decay is not None:
        move_average(state.modules["ema"], actors.policy, cfg.ema_decay)
    if cfg.kl_target is not None:
        state.numbers["kl_coef"] = next_kl_coef(
            state.numbers["kl_coef"],
            row["ppo/kl"],
            target=cfg.kl_target,
            episodes=len(prompts),
            horizon=cfg.kl_horizon,
        )
    return row | {
        "perf/rollout_s": sampled - began, "perf/score_s": scored_at - sampled, "perf/update_s": time.perf_counter() - scored_at,
    }  # fmt: skip


def with_advantages(scored: Scored, kl_coef: float, cfg: PPOConfig) -> Batch:
    """Rewards per token, advantages whitened over the whole rollout, and returns taken before the whitening."""
    mask = scored.mask_BR
    rewards = token_rewards(scored.logp_BR, scored.ref_logp_BR, scored.score_B, mask, kl_coef)
    if cfg.whiten_rewards:
        rewards = whiten(rewards, mask, shift_mean=False)
    found, returns = advantages(rewards, scored.values_BR, mask, gamma=cfg.gamma, lam=cfg.lam)
    return Batch(scored.rollout, mask, scored.logp_BR, scored.values_BR, whiten(found, mask), returns)


def _before(scored: Scored, batch: Batch) -> Numbers:
    mask = batch.mask_BR
    return {
        "ppo/explained_variance": float(explained_variance(batch.values_BR, batch.returns_BR, mask)),
        "ppo/return_mean": float(masked_mean(batch.returns_BR, mask)),
        "ppo/value_mean": float(masked_mean(scored.values_BR, mask)),
    }


# --- which weights come out -----------------------------------------------------------------------------------------


@torch.no_grad()
def move_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * weights, once per iteration (InstructGPT C.4)."""
    for old, new in zip(own_tensors(average).values(), own_tensors(module).values(), strict=True):
        old.mul_(decay).add_(new, alpha=1 - decay)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    for old, new in zip(own_tensors(target).values(), own_tensors(source).values(), strict=True):
        old.copy_(new)


def _measured(
    run: Run, actors: Actors, state: TrainingState, prompts: Sequence[Prompt], cfg: PPOConfig
) -> tuple[PreTrainedModel, Numbers]:
    """The policy to publish, with its score and KL on fresh answers. One beyond the KL budget gives way to the last good one."""
    chosen = "ema" if cfg.ema_decay is not None else "policy"
    if state.numbers.get("stopped") == "kl_budget":
        chosen = "good"
    numbers = _final_numbers(state.modules[chosen], actors, prompts, cfg, run.seed)
    if cfg.kl_budget is not None and chosen != "good" and numbers["ppo/final_kl"] > cfg.kl_budget:
        state.numbers["stopped"] = "kl_budget"
        chosen = "good"
        numbers = _final_numbers(state.modules[chosen], actors, prompts, cfg, run.seed)
    return cast(PreTrainedModel, state.modules[chosen]), numbers


def _final_numbers(
    module: nn.Module, actors: Actors, prompts: Sequence[Prompt], cfg: PPOConfig, seed: int
) -> Numbers:
    scored = _fresh(
        module,
        actors,
        [prompts[i % len(prompts)] for i in range(cfg.episodes)],
        cfg,
        stream_seed(seed, "final"),
    )
    return {"ppo/final_score": float(scored.score_B.mean()), "ppo/final_kl": float(scored.kl_B.mean())}


def _fresh(module: nn.Module, actors: Actors, prompts: Sequence[Prompt], cfg: PPOConfig, seed: int) -> Scored:
    judged = Actors(
        policy=cast(PreTrainedModel, module), reference=actors.reference, value=actors.value, reward=actors.reward,
        tokenizer=actors.tokenizer,
    )  # fmt: skip
    rollout = sample(judged.policy, judged.tokenizer, prompts, cfg, seed)
    return score(
        judged, rollout, micro_batches(range(len(prompts)), rollout.cost, cfg.micro_batch_tokens), cfg
    )


def _write_samples(
    report: Reporter, step: int, actors: Actors, prompts: Sequence[Prompt], cfg: PPOConfig, seed: int
) -> None:
    """The same few prompts with the same seeds each time, so that only the policy changes."""
    scored = _fresh(actors.policy, actors, prompts, cfg, stream_seed(seed, "samples"))
    numbers: list[tuple[Tensor, Tensor]] = list(zip(scored.score_B, scored.kl_B, strict=True))
    for prompt, text, (reward, kl) in zip(prompts, scored.rollout.texts, numbers, strict=True):
        report.sample(
            step,
            [{"role": m["role"], "content": m["content"]} for m in prompt.messages],
            text,
            reward=float(reward),
            kl=float(kl),
        )
