"""E2, E3, E9: results hang on the data and the settings, never on padding, order, micro-batches or the way pairs are made."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.models import ScalarModel, load_policy, load_scalar
from inference.engine.requests import SampleRequest
from tests.training.core.rundirs import demonstrations, rankings, write_rows
from training.core import sft
from training.core.checkpoint import TrainingState
from training.core.config import PPOConfig, RewardConfig, SFTConfig
from training.core.data import Demonstration, Dropped, Prompt, Ranking, read_demonstrations, read_rankings
from training.core.loop import make_optimizer, micro_batches
from training.core.ppo import with_advantages
from training.core.ppo_update import gradients, learn, minibatches
from training.core.reward import update
from training.core.reward_batches import batches_of
from training.core.reward_scores import scores_of
from training.core.rollout import Actors, Rollout, answer_logprobs, answer_scores, answer_values, score


def read_sft(base: Path, folder: Path, count: int) -> tuple[Any, list[Demonstration]]:
    model, tokenizer = load_policy(base)
    write_rows(folder / "train.jsonl", demonstrations(count))
    return model, read_demonstrations(folder, "train.jsonl", tokenizer, 96, Dropped())


def gradient_of(model: torch.nn.Module) -> Tensor:
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad(set_to_none=True)
    return found


def assert_close(one: Tensor, other: Tensor, within: float = 1e-5) -> None:
    assert float((one - other).abs().max()) <= within * max(float(one.abs().max()), 1.0)


class Frozen(torch.optim.SGD):
    """Leaves gradients where they are, so that a test can look at them."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(module.parameters(), lr=0.0)
        for group in self.param_groups:
            group["peak_lr"] = 0.0
        self.steps = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # counts, and never asks for a loss
        self.steps += 1


# --- SFT ------------------------------------------------------------------------------------------------------------


def test_sft_gradients_do_not_depend_on_the_micro_batch(base: Path, tmp_path: Path) -> None:
    model, rows = read_sft(base, tmp_path, 8)
    found = []
    for budget in (16, 60, 130, 10_000):
        state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
        numbers = sft.update(model, rows, state, SFTConfig(micro_batch_tokens=budget), 1.0)
        found.append((numbers["sft/loss"], gradient_of(model)))
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert_close(found[0][1], gradient, within=1e-6)


def test_a_batch_loss_is_the_mean_over_tokens_and_not_over_rows(base: Path, tmp_path: Path) -> None:
    model, rows = read_sft(base, tmp_path, 6)
    cfg = SFTConfig()
    with torch.no_grad():
        alone = [float(sft.answer_nll(model, [row], cfg)) for row in rows]
        all_of_them = float(sft.answer_nll(model, rows, cfg))
    lengths = [len(row.ids) - row.prompt_tokens for row in rows]
    assert len(set(lengths)) > 1
    together = all_of_them / sum(lengths)
    assert together == pytest.approx(sum(alone) / sum(lengths), rel=1e-5)


# --- reward model ---------------------------------------------------------------------------------------------------


def read_reward(base: Path, folder: Path, count: int, answers: int = 4) -> tuple[ScalarModel, list[Ranking]]:
    _, tokenizer = load_policy(base)
    write_rows(folder / "train.jsonl", rankings(count, answers))
    return ScalarModel.from_policy(base, seed=1), read_rankings(
        folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped()
    )


def test_the_k_wise_loss_and_its_gradient_are_those_of_all_pairs(base: Path, tmp_path: Path) -> None:
    model, rows = read_reward(base, tmp_path, 5, answers=6)
    state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
    loss = update(model, rows, state, RewardConfig(), 1.0)["reward/loss"]
    k_wise = gradient_of(model)

    total = torch.zeros(())
    for row in rows:
        pairs = [
            (i, j) if row.ranks[i] < row.ranks[j] else (j, i)
            for i, j in combinations(range(len(row.ranks)), 2)
            if row.ranks[i] != row.ranks[j]
        ]
        for better, worse in pairs:  # Each pair by two passes of its own, without any padding.
            margin = [
                model.rewards(torch.tensor([row.answers[k]]), torch.ones(1, len(row.answers[k])))
                for k in (better, worse)
            ]
            total = total - logsigmoid(margin[0] - margin[1]).sum() / len(pairs) / len(rows)
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=1e-6)
    assert_close(gradient_of(model), k_wise)


def test_each_answer_passes_the_model_once(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = read_reward(base, tmp_path, 6, answers=9)
    seen = []
    model.backbone.register_forward_pre_hook(
        lambda _m, _a, kw: seen.append(int(kw["attention_mask"].sum())), with_kwargs=True
    )
    update(model, rows, TrainingState(modules={"model": model}, optimizer=Frozen(model)), RewardConfig(), 1.0)
    assert sum(seen) == sum(len(answer) for row in rows for answer in row.answers)


def test_reward_gradients_do_not_depend_on_the_micro_batch(base: Path, tmp_path: Path) -> None:
    model, rows = read_reward(base, tmp_path, 7)
    found = []
    for budget in (16, 400, 100_000):
        state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
        found.append(
            (
                update(model, rows, state, RewardConfig(micro_batch_tokens=budget), 1.0)["reward/loss"],
                gradient_of(model),
            )
        )
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert_close(found[0][1], gradient, within=1e-6)


def test_a_ranking_of_nine_weighs_as_much_as_one_of_four(base: Path, tmp_path: Path) -> None:
    model, four = read_reward(base, tmp_path / "four", 1)
    _, nine = read_reward(base, tmp_path / "nine", 1, answers=9)
    each = [update_loss(model, [row]) for row in (four[0], nine[0])]
    assert update_loss(model, [four[0], nine[0]]) == pytest.approx(sum(each) / 2, rel=1e-6)


def update_loss(model: ScalarModel, rows: list[Ranking]) -> float:
    state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
    loss = update(model, rows, state, RewardConfig(), 1.0)["reward/loss"]
    model.zero_grad(set_to_none=True)
    return loss


def test_scores_do_not_depend_on_who_else_is_in_the_batch(base: Path, tmp_path: Path) -> None:
    model, rows = read_reward(base, tmp_path, 6)
    with torch.no_grad():
        together = scores_of(model, rows, RewardConfig())[0]
        for b, row in enumerate(rows):
            assert_close(scores_of(model, [row], RewardConfig())[0][0], together[b, : len(row.ranks)])


def test_all_answers_of_a_prompt_stay_in_one_batch(base: Path, tmp_path: Path) -> None:
    _, rows = read_reward(base, tmp_path, 11)
    batches = batches_of(rows, RewardConfig(batch_size=4, sort_window=1), seed=0, epoch=0)
    assert sorted(i for batch in batches for i in batch) == list(range(11))
    assert [len(batch) for batch in batches] == [4, 4, 3]


# --- PPO ------------------------------------------------------------------------------------------------------------


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
    with torch.no_grad():
        value = actors.value(ids, torch.ones_like(ids))[0, -1] - actors.value.shift
        assert torch.equal(value, actors.reward.rewards(ids, torch.ones_like(ids))[0])


def test_an_answer_that_never_ended_has_the_fixed_score(actors: Actors) -> None:
    rollout = ragged_rollout()
    found = answer_scores(
        actors.reward, rollout, [range(12)], PPOConfig(no_eos_reward=-3.0), torch.device("cpu")
    )
    assert [float(x) == -3.0 for x in found] == [not finished for finished in rollout.finished]


def prepared(actors: Actors, cfg: PPOConfig) -> Any:
    rollout = ragged_rollout()
    scored = score(actors, rollout, micro_batches(range(12), rollout.cost, cfg.micro_batch_tokens), cfg)
    return with_advantages(scored, 0.1, cfg)


def test_ppo_gradients_do_not_depend_on_the_micro_batch(actors: Actors) -> None:
    found = []
    for budget in (16, 50, 10_000):
        cfg = PPOConfig(micro_batch_tokens=budget)
        batch = prepared(actors, cfg)
        numbers = gradients(actors, batch, range(12), cfg)
        found.append((numbers, gradient_of(actors.policy), gradient_of(actors.value)))
    for numbers, *both in found[1:]:
        assert numbers["ppo/policy_loss"] == pytest.approx(found[0][0]["ppo/policy_loss"], abs=1e-6)
        assert numbers["ppo/value_loss"] == pytest.approx(found[0][0]["ppo/value_loss"], rel=1e-5)
        for one, other in zip(found[0][1:], both, strict=True):
            assert_close(one, other, within=1e-5)


@pytest.mark.parametrize("epochs", [1, 4])
@pytest.mark.parametrize("parts", [1, 2, 5, 12])
@pytest.mark.parametrize("budget", [16, 10_000])
def test_optimizer_steps_are_epochs_times_minibatches(
    actors: Actors, epochs: int, parts: int, budget: int
) -> None:
    """E9, also where 12 episodes do not divide by 5 and where a minibatch takes several forward passes."""
    cfg = PPOConfig(epochs=epochs, minibatches=parts, episodes=12, micro_batch_tokens=budget)
    batch = prepared(actors, cfg)
    optimizer = Frozen(actors.policy)
    passes = [minibatches(12, parts, 0, 0, epoch) for epoch in range(epochs)]
    numbers = learn(actors, batch, passes, TrainingState(modules={}, optimizer=optimizer), cfg, 1.0)
    assert optimizer.steps == numbers["ppo/optimizer_steps"] == epochs * parts
    for one in passes:
        assert sorted(i for minibatch in one for i in minibatch) == list(range(12))
    actors.policy.zero_grad()
    actors.value.zero_grad()


def test_a_minibatch_beyond_the_kl_limit_is_not_learned_from(actors: Actors) -> None:
    cfg = PPOConfig(epochs=4, minibatches=2, lr=1e-2, value_lr=1e-2, epoch_kl_limit=1e-4)
    batch = prepared(actors, cfg)
    state = TrainingState(
        modules={}, optimizer=make_optimizer([(actors.policy, cfg.lr), (actors.value, cfg.value_lr)], cfg)
    )
    passes = [minibatches(12, 2, 0, 0, epoch) for epoch in range(4)]
    numbers = learn(actors, batch, passes, state, cfg, 1.0)
    assert (
        numbers["ppo/optimizer_steps"] == 1
    )  # The first is on-policy; after it the second is already too far.


def test_whitening_does_not_depend_on_the_order_of_episodes(actors: Actors) -> None:
    cfg = PPOConfig()
    batch = prepared(actors, cfg)
    real = batch.advantages_BR[batch.mask_BR.bool()]
    assert float(real.mean()) == pytest.approx(0, abs=1e-6)
    assert float(real.std(correction=0)) == pytest.approx(1, rel=1e-5)
    assert (batch.advantages_BR[~batch.mask_BR.bool()] == 0).all()


def test_rollouts_follow_the_softmax(base: Path) -> None:
    """Chi-square of 4,000 first tokens against the model's own probabilities: nothing truncates or tempers the sampling."""
    model, tokenizer = load_policy(base)
    ids = (7, 8, 9)
    params = SamplingParams(max_tokens=1, ignore_eos=True)
    request = SampleRequest(prompt_ids=ids, n=4000, params=params, seed=1, key="x", stream=False)
    drawn = [s.token_ids[0] for s in TorchEngine(model, tokenizer, slots=200).generate([request])[0]]
    with torch.no_grad():
        expected = 4000 * model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor(drawn), minlength=len(expected))
    chi, freedom = float(((counts - expected) ** 2 / expected).sum()), len(expected) - 1
    assert abs(chi - freedom) < 4 * (2 * freedom) ** 0.5
