"""E3, E7, E9 of PPO and RLOO: what is learned hangs on the episodes alone, never on padding, order or micro-batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.engine.models import ScalarModel, load_policy, load_scalar
from tests.training.core import oracles
from tests.training.core.rundirs import move
from tests.training.core.test_layout import Frozen, assert_close, gradient_of
from training.core import ppo, rloo
from training.core.checkpoint import TrainingState
from training.core.config import PolicyConfig, PPOConfig, RLOOConfig
from training.core.data import Prompt
from training.core.loop import in_passes, micro_batches, optimizer_step
from training.core.policy import new_state
from training.core.ppo_update import Batch, gradients, learn, minibatches
from training.core.ptx import Example, Pretraining
from training.core.rollout import (
    Actors,
    Rollout,
    Scored,
    answer_logprobs,
    answer_scores,
    answer_values,
    rollout_numbers,
    score,
)


@pytest.fixture
def actors(base: Path, reward_model: Path) -> Actors:
    policy, tokenizer = load_policy(base)
    reward, value = (load_scalar(reward_model)[0] for _ in range(2))
    return Actors(
        policy=policy, reference=load_policy(base)[0], value=value, reward=reward, tokenizer=tokenizer
    )


def ragged_rollout(count: int = 12) -> Rollout:
    """Prompts and answers of many lengths; the padding id, the EOS id and other specials stand inside prompts and answers."""
    generator = torch.Generator().manual_seed(5)
    numbers = lambda n: torch.randint(0, 60, (n,), generator=generator).tolist()  # noqa: E731
    prompts = [Prompt(str(i), [], [0, 4, *numbers(3 + i % 5), 0]) for i in range(count)]
    answers = [[*numbers(1 + (3 * i) % 7), 4] for i in range(count)]
    return Rollout(
        prompts, answers, [[0.0] * len(a) for a in answers], [i % 4 != 0 for i in range(count)], [""] * count
    )


def test_padding_changes_no_log_probability_value_or_score(actors: Actors) -> None:
    rollout, width = ragged_rollout(), 8
    assert actors.value is not None
    cfg = PPOConfig(no_eos_reward=None)
    with torch.no_grad():
        together = (
            answer_logprobs(actors.policy, rollout, range(12), width)[0],
            answer_values(actors.value, rollout, range(12), width),
            answer_scores(actors.reward, rollout, [range(12)], cfg, torch.device("cpu")),
        )
        for i, answer in enumerate(rollout.answers):
            n = len(answer)
            assert_close(answer_logprobs(actors.policy, rollout, [i], width)[0][0, :n], together[0][i, :n])
            assert_close(answer_values(actors.value, rollout, [i], width)[0, :n], together[1][i, :n])
    alone = answer_scores(actors.reward, rollout, [[i] for i in range(12)], cfg, torch.device("cpu"))
    assert_close(alone, together[2])


def test_log_probabilities_and_values_are_those_of_a_plain_forward_pass(actors: Actors) -> None:
    rollout = ragged_rollout()
    assert isinstance(actors.reward, ScalarModel)
    assert actors.value is not None
    with torch.no_grad():
        for i, (prompt, answer) in enumerate(zip(rollout.prompts, rollout.answers, strict=True)):
            ids = torch.tensor([prompt.ids + answer])
            logp = actors.policy(input_ids=ids).logits[0].log_softmax(-1)
            places = [len(prompt.ids) - 1 + t for t in range(len(answer))]
            expected = torch.stack([logp[p, token] for p, token in zip(places, answer, strict=True)])
            assert_close(answer_logprobs(actors.policy, rollout, [i], len(answer))[0][0], expected)
            raw = actors.value(ids, torch.ones_like(ids))[0]
            assert_close(
                answer_values(actors.value, rollout, [i], len(answer))[0], raw[places] - actors.value.shift
            )
            # The reward is read on the last token of the answer, whatever ids stand in the prompt.
            found = answer_scores(
                actors.reward, rollout, [[j] for j in range(12)], PPOConfig(no_eos_reward=None), ids.device
            )
            assert_close(found[i], raw[-1] - actors.reward.shift)


def test_the_value_network_starts_as_the_reward_model(actors: Actors) -> None:
    """Read on the EOS itself it says what the reward model says, shift included."""
    rollout = ragged_rollout(1)
    ids = torch.tensor([rollout.sequence(0)])
    assert isinstance(actors.reward, ScalarModel)
    assert actors.value is not None
    with torch.no_grad():
        value = actors.value(ids, torch.ones_like(ids))[0, -1] - actors.value.shift
        assert torch.equal(value, actors.reward.rewards(ids, torch.ones_like(ids))[0])


def test_an_answer_that_never_ended_has_the_fixed_score(actors: Actors) -> None:
    rollout = ragged_rollout()
    found = answer_scores(
        actors.reward, rollout, [range(12)], PPOConfig(no_eos_reward=-3.0), torch.device("cpu")
    )
    assert [float(x) == -3.0 for x in found] == [not finished for finished in rollout.finished]


ALGORITHMS: dict[str, tuple[type[PolicyConfig], Any]] = {
    "ppo": (PPOConfig, ppo.with_advantages),
    "rloo": (RLOOConfig, rloo.with_baselines),
}


def prepared(actors: Actors, cfg: PolicyConfig, kind: str = "ppo") -> Batch:
    rollout = ragged_rollout()
    scored = score(actors, rollout, micro_batches(range(12), rollout.cost, cfg.micro_batch_tokens), cfg)
    batch, _ = ALGORITHMS[kind][1](scored, 0.1, cfg)
    assert isinstance(batch, Batch)
    return batch


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_gradients_do_not_depend_on_the_micro_batch(kind: str, actors: Actors) -> None:
    found = []
    used = actors if kind == "ppo" else replace(actors, value=None)
    for budget in (16, 50, 10_000):
        cfg = ALGORITHMS[kind][0](micro_batch_tokens=budget)
        numbers = gradients(used, prepared(used, cfg, kind), range(12), cfg)
        found.append((numbers, [gradient_of(module) for module in used.trained.values()]))
    for numbers, both in found[1:]:
        assert numbers == pytest.approx(found[0][0], rel=1e-5, abs=1e-6)
        for one, other in zip(found[0][1], both, strict=True):
            assert_close(one, other, within=1e-6)


def test_a_minibatch_of_rloo_is_the_mean_over_answers_of_reinforce(actors: Actors) -> None:
    """2402.14740: the gradient of mean_i A_i log p(answer i), written down from nothing but the model's own logits."""
    cfg, rows = RLOOConfig(micro_batch_tokens=50), [0, 1, 2, 5, 11]
    batch = prepared(actors, cfg, "rloo")
    gradients(actors, batch, rows, cfg)
    found = gradient_of(actors.policy)
    total = torch.zeros(())
    for i in rows:
        prompt, answer = batch.rollout.prompts[i].ids, batch.rollout.answers[i]
        logp = (
            actors.policy(input_ids=torch.tensor([prompt + answer]))
            .logits[0, len(prompt) - 1 : -1]
            .log_softmax(-1)
        )
        total = total - batch.advantages[i] * logp.gather(1, torch.tensor(answer).unsqueeze(1)).sum() / len(
            rows
        )
    total.backward()
    assert_close(found, gradient_of(actors.policy), within=1e-6)


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("epochs", [1, 4])
@pytest.mark.parametrize("parts", [1, 2, 5, 12])
@pytest.mark.parametrize("budget", [16, 10_000])
def test_optimizer_steps_are_epochs_times_minibatches(
    actors: Actors, kind: str, epochs: int, parts: int, budget: int
) -> None:
    """E9, also where 12 episodes do not divide by 5 and where a minibatch takes several forward passes."""
    cfg = ALGORITHMS[kind][0](epochs=epochs, minibatches=parts, episodes=12, micro_batch_tokens=budget)
    batch = prepared(actors, cfg, kind)
    optimizer = Frozen(actors.policy)
    passes = [minibatches(12, parts, 0, 0, epoch) for epoch in range(epochs)]
    numbers = learn(actors, batch, passes, TrainingState(modules={}, optimizer=optimizer), cfg, 1.0)
    assert optimizer.steps == numbers["optimizer_steps"] == epochs * parts
    for one in passes:
        assert sorted(i for minibatch in one for i in minibatch) == list(range(12))


@pytest.mark.parametrize(("target", "steps"), [(None, 8), (1e-4, 1), (1e3, 8)])
def test_a_minibatch_too_far_from_the_sampling_policy_ends_the_epochs(
    actors: Actors, target: float | None, steps: int
) -> None:
    """The first is on-policy; after it the second is beyond 1.5 x 1e-4 nats already, and its gradient is thrown away."""
    cfg = PPOConfig(epochs=4, minibatches=2, lr=1e-2, value_lr=1e-2, epoch_kl_target=target)
    batch, state = prepared(actors, cfg), new_state(actors, cfg)
    passes = [minibatches(12, 2, 0, 0, epoch) for epoch in range(4)]
    assert learn(actors, batch, passes, state, cfg, 1.0)["optimizer_steps"] == steps
    assert all(p.grad is None for module in actors.trained.values() for p in module.parameters())


def test_the_limit_of_an_update_is_one_and_a_half_times_the_target(actors: Actors) -> None:
    """The second minibatch's own distance decides on which side of 1.5 x the target it lies."""
    cfg = PPOConfig(epochs=1, minibatches=2, lr=1e-3, value_lr=1e-3)
    passes = [minibatches(12, 2, 0, 0, 0)]
    start = {name: {k: v.clone() for k, v in m.state_dict().items()} for name, m in actors.trained.items()}

    def steps(target: float | None) -> float:
        for name, module in actors.trained.items():
            module.load_state_dict(start[name])
        limited = PPOConfig(**{**cfg.to_json(), "epoch_kl_target": target})
        found = learn(actors, prepared(actors, limited), passes, new_state(actors, limited), limited, 1.0)
        return 2 * found["approx_kl"] if target is None else found["optimizer_steps"]

    second = steps(None)  # The mean over two minibatches, of which the first is 0.
    assert (steps(second / 1.55), steps(second / 1.45)) == (1, 2)


def test_the_length_of_a_gradient_is_limited_network_by_network(actors: Actors) -> None:
    """Spec row 57. The limit lies between the two lengths: one gradient is shortened to it, the other stays as it is."""
    gradients(actors, prepared(actors, PPOConfig()), range(12), PPOConfig())
    before = {
        name: [p.grad.clone() for p in module.parameters() if p.grad is not None]
        for name, module in actors.trained.items()
    }
    lengths = {name: float(torch.cat([g.flatten() for g in of]).norm()) for name, of in before.items()}
    limit = (lengths["policy"] * lengths["value"]) ** 0.5
    told = optimizer_step(Frozen(actors.policy), actors.trained, PPOConfig(max_grad_norm=limit), 1.0)
    assert told == pytest.approx(lengths, rel=1e-5)
    kept = {name: min(1.0, limit / length) for name, length in lengths.items()}
    assert sorted(share < 0.9 for share in kept.values()) == [False, True]
    for name, module in actors.trained.items():
        expected = torch.cat([kept[name] * gradient.flatten() for gradient in before[name]])
        torch.testing.assert_close(gradient_of(module), expected, rtol=1e-4, atol=0)


def test_the_weight_of_the_value_loss_is_its_gradients_alone(actors: Actors) -> None:
    found = {}
    for coef in (0.1, 0.2):
        cfg = PPOConfig(value_coef=coef)
        numbers = gradients(actors, prepared(actors, cfg), range(12), cfg)
        found[coef] = numbers, [gradient_of(module) for module in actors.trained.values()]
    (numbers, (policy, value)), (of_twice, (same, twice)) = found[0.1], found[0.2]
    assert numbers == of_twice
    assert torch.equal(policy, same)
    torch.testing.assert_close(twice, 2 * value, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_dual_clip_holds_a_policy_that_ran_away_from_a_bad_answer(kind: str, actors: Actors) -> None:
    """Every token is e^2 times as likely as when it was drawn, and should not have been: each costs 3, and pulls no more."""
    cfg = ALGORITHMS[kind][0](dual_clip=3.0)
    used = actors if kind == "ppo" else replace(actors, value=None)
    batch = prepared(used, cfg, kind)
    batch = replace(batch, logp_BR=batch.logp_BR - 2, advantages=torch.full_like(batch.advantages, -1.0))
    assert gradients(used, batch, range(12), cfg)["policy_loss"] == pytest.approx(3)
    assert not gradient_of(used.policy).any()


@pytest.mark.parametrize("whiten_rewards", [False, True])
def test_a_batch_of_ppo_is_gae_whitened_and_its_returns_are_not(whiten_rewards: bool, actors: Actors) -> None:
    """E1 of the stage itself, row by row: a policy off its reference, ragged answers, gamma below 1."""
    move(actors.policy, by=0.02)
    cfg, rollout = PPOConfig(gamma=0.9, lam=0.8, whiten_rewards=whiten_rewards), ragged_rollout()
    scored = score(actors, rollout, [range(12)], cfg)
    batch, _ = ppo.with_advantages(scored, 0.1, cfg)
    names = ("logp_BR", "ref_logp_BR", "score_B", "values_BR", "mask_BR")
    logp, ref, scores, values, mask = (getattr(scored, name).double().numpy() for name in names)
    lengths = [len(answer) for answer in rollout.answers]
    rewards = oracles.token_rewards(logp, ref, scores, lengths, 0.1)
    if whiten_rewards:
        rewards = oracles.whiten(rewards, mask, shift_mean=False)
    advantages, returns = oracles.gae(rewards, values, lengths, 0.9, 0.8)
    assert batch.critic is not None
    np.testing.assert_allclose(batch.critic.returns_BR.numpy(), returns, atol=1e-5)
    white = oracles.whiten(advantages, mask, shift_mean=True)
    np.testing.assert_allclose(batch.advantages.numpy(), white, atol=1e-4)


def test_advantages_are_white_over_the_real_tokens_of_the_rollout(actors: Actors) -> None:
    batch = prepared(actors, PPOConfig())
    real = batch.advantages[batch.mask_BR.bool()]
    assert float(real.mean()) == pytest.approx(0, abs=1e-6)
    assert float(real.std(correction=0)) == pytest.approx(1, rel=1e-5)
    assert (batch.advantages[~batch.mask_BR.bool()] == 0).all()


def test_what_is_told_of_an_update_is_what_its_names_say(actors: Actors) -> None:
    """Against numpy, with three policies apart: the reference, the one that drew, and the one that learns."""
    move(actors.policy, by=0.02)
    cfg, rollout = PPOConfig(), ragged_rollout()
    scored = score(actors, rollout, [range(12)], cfg)
    batch, told = ppo.with_advantages(scored, 0.1, cfg)
    assert batch.critic is not None
    assert actors.value is not None
    move(actors.policy, by=0.02, seed=1)
    move(actors.value, by=0.002, seed=2)
    with torch.no_grad():
        now = answer_logprobs(actors.policy, rollout, range(12), batch.mask_BR.shape[1])[0]
        worth = answer_values(actors.value, rollout, range(12), batch.mask_BR.shape[1])
    told |= rollout_numbers(scored, 0.1) | gradients(actors, batch, range(12), cfg)

    def real(x_BR: Tensor) -> oracles.Array:
        return x_BR[batch.mask_BR.bool()].double().numpy()

    new, old, ref = map(real, (now, batch.logp_BR, scored.ref_logp_BR))
    value, before, returns = map(real, (worth, scored.values_BR, batch.critic.returns_BR))
    advantage = real(batch.advantages)
    ratio, of_reference = np.exp(new - old), np.exp(ref - old)
    expected = {
        "kl": (old - ref).sum() / 12, "kl_k3": (of_reference - 1 - np.log(of_reference)).sum() / 12,
        "approx_kl": 0.5 * ((new - old) ** 2).mean(), "approx_kl_k3": (ratio - 1 - np.log(ratio)).mean(),
        "clip_share": (abs(ratio - 1) > 0.2).mean(), "value_clip_share": (abs(value - before) > 0.2).mean(),
        "policy_loss": np.mean([oracles.policy_loss(*three, 0.2) for three in zip(new, old, advantage, strict=True)]),
        "value_loss": np.mean([oracles.value_loss(*three, 0.2) for three in zip(value, before, returns, strict=True)]),
        "explained_variance": 1 - (returns - before).var() / returns.var(),
        "return_mean": returns.mean(), "value_mean": before.mean(),
    }  # fmt: skip
    assert {name: told[name] for name in expected} == pytest.approx(expected, rel=1e-3)
    # Shares that would be the same at twice or half the clip would say nothing of where it lies.
    for distances, clip in ((abs(ratio - 1), 0.2), (abs(value - before), 0.2)):
        assert (distances > 2 * clip).mean() < (distances > clip).mean() < (distances > clip / 2).mean()


def test_what_is_told_of_an_update_is_told_of_real_tokens_only(actors: Actors) -> None:
    """Explained variance, entropy, approximate KL, clip shares: the same with forty more columns of padding."""
    cfg = PPOConfig(epochs=2, minibatches=1)
    rollout = ragged_rollout()
    scored = score(actors, rollout, [range(12)], cfg)
    wide = widened(scored, 40)
    for one, other in zip(*(ppo.with_advantages(s, 0.1, cfg) for s in (scored, wide)), strict=True):
        if isinstance(one, dict):
            assert one == pytest.approx(other, rel=1e-5)
    told = [rollout_numbers(s, 0.1) | _of_an_update(actors, s, cfg) for s in (scored, wide)]
    assert told[0] == pytest.approx(told[1], rel=1e-4, abs=1e-6)


def widened(scored: Scored, columns: int) -> Scored:
    """More padding, full of numbers that mean nothing."""
    names = ("logp_BR", "ref_logp_BR", "values_BR", "entropy_BR")
    junk: dict[str, Any] = {
        name: torch.nn.functional.pad(getattr(scored, name), (0, columns), value=-7.0) for name in names
    }
    return replace(scored, mask_BR=torch.nn.functional.pad(scored.mask_BR, (0, columns)), **junk)


def _of_an_update(actors: Actors, scored: Scored, cfg: PPOConfig) -> dict[str, float]:
    batch, _ = ppo.with_advantages(scored, 0.1, cfg)
    # A policy that has moved on, so that ratios are not all 1.
    batch = replace(batch, logp_BR=(batch.logp_BR - 0.15) * batch.mask_BR)
    numbers = gradients(actors, batch, range(12), cfg)
    for module in actors.trained.values():
        module.zero_grad(set_to_none=True)
    return numbers


# --- text that is mixed in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_gradient_buffer_is_that_of_the_reward_plus_coef_times_that_of_the_text(
    kind: str, actors: Actors
) -> None:
    """Spec item 51: one buffer, one step. The text's part is the gradient of its mean NLL per token."""
    cfg = ALGORITHMS[kind][0](ptx_coef=27.8, ptx_ratio=2, episodes=12, minibatches=1, micro_batch_tokens=64)
    batch = prepared(actors, cfg, kind)
    examples = [Example([5, 6 + n, *range(20, 24 + n % 3), 4], 2) for n in range(7)]
    gradients(actors, batch, range(12), cfg)
    alone = gradient_of(actors.policy)
    gradient_of_text = text_gradient(actors, [examples[i] for i in in_passes(7, 0, 24, 3, "ptx")])

    gradients(actors, batch, range(12), cfg)
    told = Pretraining(examples, cfg, seed=3).add_gradients(actors.policy, 0, 12)
    both = gradient_of(actors.policy)
    expected = alone + 27.8 * gradient_of_text[0]
    assert float((both - expected).abs().max()) <= 1e-6 * float(expected.abs().max())
    assert told["ptx_loss"] == pytest.approx(gradient_of_text[1], rel=1e-5)


def text_gradient(actors: Actors, examples: list[Example]) -> tuple[Tensor, float]:
    """Of the mean NLL per answer token, from the model's plain forward passes, one text after another."""
    tokens, total = sum(len(one.ids) - one.prompt_tokens for one in examples), torch.zeros(())
    for one in examples:
        logp = actors.policy(input_ids=torch.tensor([one.ids])).logits[0, :-1].log_softmax(-1)
        each = logp.gather(1, torch.tensor(one.ids[1:]).unsqueeze(1)).squeeze(1)
        total = total - each[one.prompt_tokens - 1 :].sum() / tokens
    total.backward()
    return gradient_of(actors.policy), float(total.detach())


def test_text_costs_no_optimizer_step_of_its_own(actors: Actors) -> None:
    cfg = PPOConfig(epochs=2, minibatches=3, ptx_coef=1.0)
    optimizer, seen = Frozen(actors.policy), []

    def mix(begin: int, end: int) -> dict[str, float]:
        seen.append((begin, end, optimizer.steps))
        return {"ptx_loss": float(begin)}

    passes = [minibatches(12, 3, 0, 0, epoch) for epoch in range(2)]
    state = TrainingState(modules={}, optimizer=optimizer)
    numbers = learn(actors, prepared(actors, cfg), passes, state, cfg, 1.0, mix)
    assert optimizer.steps == 6
    assert seen == [(4 * n, 4 * n + 4, n) for n in range(6)]
    assert numbers["ptx_loss"] == 10
