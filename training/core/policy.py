"""What PPO and RLOO share: iterations of sampling, scoring and learning, and which weights come out in the end.

One step of such a run is one iteration: sample answers, score them, see whether a rule ends the run, learn from them for
`epochs` x `minibatches` optimizer steps. The two differ in an `Algorithm`: how a scored rollout becomes something to learn
from, and whether there is a value network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.models import ScalarModel, disable_dropout
from training.core.adapters import kept_copy
from training.core.cards import publish_model, result
from training.core.checkpoint import TrainingState, own_tensors
from training.core.config import PolicyConfig
from training.core.data import Dropped, Prompt, add_dropped, make_room, read_prompts, require_some
from training.core.loop import (
    Numbers,
    due,
    in_passes,
    lr_factor,
    make_optimizer,
    prepare,
    run_steps,
    start,
    stream_seed,
)
from training.core.losses import next_kl_coef
from training.core.meter import meter
from training.core.overoptimisation import fit_overoptimisation
from training.core.ppo_update import Batch, learn, minibatches
from training.core.ptx import Pretraining, read_pretraining
from training.core.report import Reporter
from training.core.rollout import Actors, RewardFunction, Scored, check_drawn, rollout_numbers, sample, score
from training.core.run_folder import Run
from training.core.stage import (
    SAMPLED_PROMPTS,
    check_same_tokenizer,
    context_of,
    fit_into_memory,
    load_policy_input,
    load_scalar_input,
    policy_saver,
    vocabulary_of,
)
from training.core.stop_rules import broken_limit, reason_to_stop, worth_keeping

FORESEEN = 3.0
"""As many times the farthest distance (in sqrt(nats)) of a run its law is believed: farther peaks hang on the last digit of beta."""


class Algorithm(NamedTuple):
    """Where PPO and RLOO differ."""

    batch_of: Callable[[Scored, float, Any], tuple[Batch, Numbers]]
    """(rollout, price per nat, config) -> what is learned, and numbers that tell of it."""
    value_network: Callable[[Run, ScalarModel | None, torch.device], ScalarModel] | None
    """(run, reward model or None where a function takes its place, device) -> the value network."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run of a policy with all that its iterations use."""

    run: Run
    cfg: PolicyConfig
    algorithm: Algorithm
    actors: Actors
    state: TrainingState
    pretraining: Pretraining | None


def train_policy(run: Run, algorithm: Algorithm, reward_function: RewardFunction | None) -> dict[str, Any]:
    """Train and publish; returns what result.json holds. A reward function takes the reward model's place in experiments."""
    began = time.monotonic()
    cfg, device = cast(PolicyConfig, run.config), prepare(run)
    actors = load_actors(run, device, algorithm, reward_function)
    fit_into_memory(run, *actors.trained.values())
    dropped = Dropped()
    train, valid = _read_prompts(run, actors, cfg, dropped)
    training = Training(
        run=run, cfg=cfg, algorithm=algorithm, actors=actors, state=new_state(actors, cfg),
        pretraining=read_pretraining(
            run, actors.tokenizer, context_of(actors.policy), vocabulary_of(actors.policy), cfg, dropped
        ),
    )  # fmt: skip
    report = start(run, training.state, cfg.iterations)

    def do_step(step: int) -> Numbers:
        row = iterate(training, _prompts_of(train, cfg, run.seed, step), step)
        if due(step + 1, cfg.sample_every, cfg.iterations):
            _write_samples(report, step + 1, training, (valid or train)[:SAMPLED_PROMPTS])
        return named(run, row)

    last = run_steps(run, training.state, report, do_step)
    return publish(training, valid or train, last, dropped, began)


def named(run: Run, numbers: Numbers) -> Numbers:
    """As metrics.jsonl has them: "kl" is "ppo/kl" in a run of PPO."""
    return {name if "/" in name else f"{run.kind}/{name}": number for name, number in numbers.items()}


def load_actors(
    run: Run, device: torch.device, algorithm: Algorithm, reward_function: RewardFunction | None
) -> Actors:
    """Policy, frozen reference (inputs.reference, or else the policy's start), reward model, and value network and judge if any."""
    policy, tokenizer = load_policy_input(run, "model", device)
    reference, other = load_policy_input(run, "reference" if "reference" in run.inputs else "model", device)
    check_same_tokenizer(tokenizer, other, "The policy and its reference")
    reward = None if reward_function is not None else _reward_model(run, "reward", tokenizer, device)
    judged = "judge" in run.inputs or cast(PolicyConfig, run.config).judge_drop_limit is not None
    judge = _reward_model(run, "judge", tokenizer, device) if judged else None
    value = None if algorithm.value_network is None else algorithm.value_network(run, reward, device)
    for frozen in (reference, reward, judge):
        if frozen is not None:
            frozen.requires_grad_(requires_grad=False)
    for model in (policy, reference, value, reward, judge):
        if model is not None:
            disable_dropout(model.eval())
    return Actors(
        policy=policy, reference=reference, value=value, reward=reward or cast(RewardFunction, reward_function),
        tokenizer=tokenizer, judge=judge,
    )  # fmt: skip


def _reward_model(
    run: Run, name: str, tokenizer: PreTrainedTokenizerBase, device: torch.device
) -> ScalarModel:
    reward, other = load_scalar_input(run, name, device)
    check_same_tokenizer(
        tokenizer, other, f"The policy and the {'reward model' if name == 'reward' else name}"
    )
    return reward


def _read_prompts(
    run: Run, actors: Actors, cfg: PolicyConfig, dropped: Dropped
) -> tuple[list[Prompt], list[Prompt]]:
    all_of_them = (actors.policy, actors.reference, actors.value, actors.reward, actors.judge)
    readers = [m for m in all_of_them if isinstance(m, nn.Module)]
    context = min(map(context_of, readers))
    limit = context - cfg.max_new_tokens
    dropped_valid = Dropped()
    train = read_prompts(run.input("dataset"), "train.jsonl", actors.tokenizer, limit, dropped)
    valid = read_prompts(run.input("dataset"), "valid.jsonl", actors.tokenizer, limit, dropped_valid)
    require_some(train, "prompts", dropped, make_room("max_new_tokens", context))
    add_dropped(dropped, dropped_valid, "valid")
    return train, valid


def new_state(actors: Actors, cfg: PolicyConfig) -> TrainingState:
    """What changes as the run goes. `good` is what is published where a rule ends the run: the last policy that broke none,
    and with `judge_drop_limit` the one that the judge liked best among them."""
    modules = dict(actors.trained)
    rates = cfg.peak_rates
    optimizer = make_optimizer([(module, rates[name]) for name, module in modules.items()], cfg)
    if cfg.ema_decay is not None:
        modules["ema"] = kept_copy(actors.policy)
    if cfg.may_stop:
        modules["good"] = kept_copy(actors.policy)
    return TrainingState(modules=modules, optimizer=optimizer, numbers={"kl_coef": cfg.kl_coef})


def _prompts_of(prompts: Sequence[Prompt], cfg: PolicyConfig, seed: int, step: int) -> list[Prompt]:
    """The prompts of an iteration's episodes, in shuffled passes over all; those of one group stand together."""
    group = cfg.answers_per_prompt
    count = cfg.episodes // group
    chosen = in_passes(len(prompts), step * count, (step + 1) * count, seed, "prompts")
    return [prompts[i] for i in chosen for _ in range(group)]


def iterate(training: Training, prompts: Sequence[Prompt], step: int) -> Numbers:
    """One iteration. Sets state.numbers["stopped"] and learns nothing where a rule ends the run."""
    cfg, actors, state, seed = training.cfg, training.actors, training.state, training.run.seed
    with meter.phase("rollout"):
        rollout = sample(actors.policy, actors.tokenizer, prompts, cfg, stream_seed(seed, "rollout", step))
    passes = [minibatches(len(prompts), cfg.minibatches, seed, step, epoch) for epoch in range(cfg.epochs)]
    parts = [part for rows in passes[0] for part in rollout.parts(rows, cfg.micro_batch_tokens)]
    with meter.phase("score"):
        scored = score(actors, rollout, parts, cfg)
    row = rollout_numbers(scored, state.numbers["kl_coef"])
    check_drawn(row, cfg)
    state.numbers.setdefault("curve", []).append([row["kl"], row["score"], row.get("judge_score")])
    if reason := reason_to_stop(row, state.numbers, cfg):
        state.numbers["stopped"] = reason
        return row
    if cfg.may_stop and worth_keeping(state.numbers):
        copy_weights(state.modules.get("ema", actors.policy), state.modules["good"])
    batch, about = training.algorithm.batch_of(scored, state.numbers["kl_coef"], cfg)
    factor = lr_factor(step, cfg.iterations, cfg.lr_schedule, cfg.warmup_steps)
    row |= about | learn(actors, batch, passes, state, cfg, factor, _mix(training, step))
    if cfg.ema_decay is not None:
        move_average(state.modules["ema"], actors.policy, cfg.ema_decay)
    if cfg.kl_target is not None:
        state.numbers["kl_coef"] = next_kl_coef(
            state.numbers["kl_coef"], row["kl"], target=cfg.kl_target, episodes=len(prompts), horizon=cfg.kl_horizon
        )  # fmt: skip
    return row


def _mix(training: Training, step: int) -> Callable[[int, int], Numbers] | None:
    """Pretraining gradients for the episodes a .. b - 1 of an iteration's passes."""
    found = training.pretraining
    if found is None:
        return None
    before = step * training.cfg.episodes * training.cfg.epochs
    return lambda begin, end: found.add_gradients(training.actors.policy, before + begin, before + end)


# --- which weights come out -----------------------------------------------------------------------------------------


@torch.no_grad()
def move_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * weights, once per iteration (InstructGPT C.4). Of adapters
    it is the average of each factor, so that its rank stays theirs."""
    for old, new in zip(own_tensors(average).values(), own_tensors(module).values(), strict=True):
        old.mul_(decay).add_(new, alpha=1 - decay)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    for old, new in zip(own_tensors(target).values(), own_tensors(source).values(), strict=True):
        old.copy_(new)


def publish(
    training: Training, prompts: Sequence[Prompt], last: Numbers, dropped: Dropped, began: float
) -> dict[str, Any]:
    """One version per role. The candidate, in model/, is the moving average where there is one (role `ema`), and the
    policy itself then lies beside it in policy_last/ (role `policy`). A run that a rule ended publishes the last good
    candidate and nothing else."""
    run, state = training.run, training.state
    last = last | named(run, laws(state.numbers.get("curve", [])))
    role = "ema" if training.cfg.ema_decay is not None else "policy"
    chosen, final = _candidate(training, role, prompts)
    also: dict[str, Any] = {}
    if chosen == "ema":
        beside = last | _final_numbers(run, _measured(training, "policy", prompts))
        also["policy"] = {"model": "policy_last", "metrics": beside}
        _save(training, "policy", "policy_last", beside, dropped, "policy")
    metrics = last | _final_numbers(run, final)
    _save(training, chosen, "model", metrics, dropped, role)
    return result(
        run.kind, state.step, metrics, dropped, time.monotonic() - began, role=role, also=also,
        stopped=state.numbers.get("stopped"),
    )  # fmt: skip


def _candidate(training: Training, role: str, prompts: Sequence[Prompt]) -> tuple[str, Numbers]:
    """The module to publish, and what it shows on fresh answers: `role`, or the last good one if a rule spoke."""
    numbers = training.state.numbers
    if "stopped" not in numbers:
        final = _measured(training, role, prompts)
        if (reason := broken_limit(final, training.cfg)) is None:
            return role, final
        numbers["stopped"] = reason  # The last update spoiled it, and no iteration came after to tell.
    return "good", _measured(training, "good", prompts)


def _measured(training: Training, chosen: str, prompts: Sequence[Prompt]) -> Numbers:
    count = training.cfg.episodes
    asked = [prompts[i % len(prompts)] for i in range(count)]
    return rollout_numbers(_fresh(training, chosen, asked, "final"), training.state.numbers["kl_coef"])


def _final_numbers(run: Run, row: Numbers) -> Numbers:
    finals = {"score": "final_score", "kl": "final_kl", "judge_score": "final_judge"}
    return named(run, {final: row[name] for name, final in finals.items() if name in row})


def laws(curve: Sequence[Sequence[float | None]]) -> Numbers:
    """How score and judge went with distance; `curve` has (kl, score, judge or None) of every iteration."""
    found: Numbers = {}
    for place, name in ((1, "score"), (2, "judge")):
        points = [(math.sqrt(max(row[0] or 0.0, 0.0)), row[place]) for row in curve]
        told = [(d, reward) for d, reward in points if reward is not None]
        if law := fit_overoptimisation([d for d, _ in told], [reward for _, reward in told]):
            numbers = {"alpha": law.alpha, "beta": law.beta, "r2": law.r2}
            if law.peak_d <= FORESEEN * max(d for d, _ in told):
                numbers["peak_kl"] = law.peak_d**2
            found |= {f"final_{name}_{key}": value for key, value in numbers.items() if math.isfinite(value)}
    return found


def _save(
    training: Training, chosen: str, folder: str, metrics: Numbers, dropped: Dropped, role: str
) -> None:
    model = cast(PreTrainedModel, training.state.modules[chosen])
    save = policy_saver(model, training.actors.tokenizer, training.cfg)
    publish_model(training.run, folder, save, metrics, dropped, role=role)


def _fresh(training: Training, chosen: str, prompts: Sequence[Prompt], purpose: str) -> Scored:
    """Answers of one of the state's policies, scored; the same draws each time for the same purpose."""
    cfg, policy = training.cfg, cast(PreTrainedModel, training.state.modules[chosen])
    judged = replace(training.actors, policy=policy, value=None)
    rollout = sample(policy, judged.tokenizer, prompts, cfg, stream_seed(training.run.seed, purpose))
    parts = rollout.parts(range(len(prompts)), cfg.micro_batch_tokens)
    return score(judged, rollout, parts, cfg)


def _write_samples(report: Reporter, step: int, training: Training, prompts: Sequence[Prompt]) -> None:
    """The same few prompts with the same seeds each time, so that only the policy changes."""
    with meter.phase("eval"):
        scored = _fresh(training, "policy", prompts, "samples")
    numbers = zip(scored.score_B, scored.kl_B, strict=True)
    for prompt, text, (reward, kl) in zip(prompts, scored.rollout.texts, numbers, strict=True):
        messages = [{"role": m["role"], "content": m["content"]} for m in prompt.messages]
        report.sample(step, messages, text, reward=float(reward), kl=float(kl))
