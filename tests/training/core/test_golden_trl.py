"""E1: the same batch, the same weights, the same numbers as TRL 1.16 (SFT, reward model, DPO) and TRL 1.12 (PPO) to 1e-5.

What TRL computed lies in golden/, made by benchmarks/golden_trl.py; where ours differs on purpose the test says how.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, tensor
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from inference.engine.models import ScalarModel, disable_dropout
from training.core import losses
from training.core.config import DPOConfig, SFTConfig
from training.core.data import Demonstration, Prompt, Ranking
from training.core.dpo import answer_logps, judge
from training.core.loop import pad
from training.core.preferences import Preference, ReferenceLogprobs
from training.core.sft import answer_nll, answer_tokens

GOLDEN = Path(__file__).parent / "golden"
Arrays = dict[str, Any]


def load(name: str) -> Arrays:
    with np.load(GOLDEN / name) as file:
        return dict(file)


@pytest.fixture(scope="module")
def trl() -> Arrays:
    return load("trl-1.16.0.npz")


@pytest.fixture(scope="module")
def ppo() -> dict[str, Tensor]:
    return {name: torch.as_tensor(value) for name, value in load("trl-1.12.0.npz").items()}


def rows_of(padded: Any) -> list[list[int]]:
    return [[int(i) for i in row if i >= 0] for row in padded]


def model_of(kind: Any, arrays: Arrays, name: str) -> Any:
    config = GPT2Config(
        vocab_size=24, n_layer=1, n_embd=8, n_head=2, n_positions=32, bos_token_id=None, eos_token_id=1
    )
    config.num_labels = 1
    model = kind(config)
    prefix = f"{name}/"
    state = {key.removeprefix(prefix): tensor(x) for key, x in arrays.items() if key.startswith(prefix)}
    model.load_state_dict({key: x for key, x in state.items() if key in model.state_dict()}, strict=True)
    disable_dropout(model)
    return model


def gradient_of(model: Any) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(
        torch.as_tensor(found).detach().float(), torch.as_tensor(expected).float(), atol=1e-5, rtol=1e-5
    )


# --- DPO ------------------------------------------------------------------------------------------------------------


def judged_as_trl(trl: Arrays, **config: Any) -> tuple[Any, Any, DPOConfig]:
    """Our stage's own functions on TRL's four pairs, as rankings of two answers."""
    cfg = DPOConfig(beta=0.3, **config)
    policy = model_of(GPT2LMHeadModel, trl, "policy")
    prompts, chosen, rejected = (rows_of(trl[name]) for name in ("prompts", "chosen", "rejected"))
    rows = [
        Preference(Ranking(str(i), [x + w, x + z], [1, 2], 1.0), Prompt(str(i), [], x), 2 * i)
        for i, (x, w, z) in enumerate(zip(prompts, chosen, rejected, strict=True))
    ]
    cache = ReferenceLogprobs(2 * len(rows))
    with torch.no_grad():
        cache.store(rows, answer_logps(model_of(GPT2LMHeadModel, trl, "reference"), rows, cfg))
    return judge(policy, rows, cache, cfg), policy, cfg


def test_dpo_and_its_gradient(trl: Arrays) -> None:
    judged, policy, cfg = judged_as_trl(trl)
    loss = judged.losses(cfg).mean()
    loss.backward()
    assert_close(loss, trl["dpo/loss"])
    assert_close(gradient_of(policy), trl["dpo/gradient"])
    assert_close(judged.logp_BK[:, 0].mean(), trl["dpo/logps/chosen"])
    assert_close(judged.logp_BK[:, 1].mean(), trl["dpo/logps/rejected"])
    assert_close((judged.rewards_BK[:, 0] - judged.rewards_BK[:, 1]).mean(), trl["dpo/rewards/margins"])


def test_plackett_luce_of_two_is_trls_dpo(trl: Arrays) -> None:
    judged, _, cfg = judged_as_trl(trl, loss="plackett_luce")
    assert_close(judged.losses(cfg).mean(), trl["dpo/loss"])


def test_conservative_dpo(trl: Arrays) -> None:
    judged, _, cfg = judged_as_trl(trl, label_smoothing=0.2)
    assert_close(judged.losses(cfg), trl["dpo/losses_smoothed"])


def test_dpo_normalised_by_length(trl: Arrays) -> None:
    judged, _, cfg = judged_as_trl(trl, length_normalize=True)
    assert_close(judged.losses(cfg).mean(), trl["dpo/loss_length_normalized"])


# --- SFT and reward model -------------------------------------------------------------------------------------------


def test_sft_and_its_gradient(trl: Arrays) -> None:
    model = model_of(GPT2LMHeadModel, trl, "policy")
    prompts, chosen = rows_of(trl["prompts"]), rows_of(trl["chosen"])
    rows = [
        Demonstration("d", x + y, ((len(x), len(x + y)),), 1) for x, y in zip(prompts, chosen, strict=True)
    ]
    loss = answer_nll(model, rows, SFTConfig()) / answer_tokens(rows)
    loss.backward()
    assert_close(loss, trl["sft/loss"])
    assert_close(gradient_of(model), trl["sft/gradient"])


def test_reward_model_of_whole_rankings_and_its_gradient(trl: Arrays) -> None:
    """Two rankings of three: three passes each here, twelve rows of six pairs there."""
    classifier = model_of(GPT2ForSequenceClassification, trl, "reward")
    model = ScalarModel(classifier.transformer, classifier.score)
    scores = model.rewards(*pad(rows_of(trl["rankings"]), torch.device("cpu"))).view(2, 3)
    loss = losses.ranking_losses(scores, tensor([[1, 2, 3]] * 2), torch.ones(2, 3)).mean()
    loss.backward()
    assert_close(loss, trl["reward/loss"])
    assert_close(gradient_of(classifier), trl["reward/gradient"])


# --- PPO ------------------------------------------------------------------------------------------------------------


def test_the_golden_rollout_has_answers_of_several_lengths(ppo: dict[str, Tensor]) -> None:
    lengths = (~ppo["padding_mask"]).sum(1)
    assert int(lengths.min()) < 12 == int(lengths.max())
    assert len(set(lengths.tolist())) >= 3


def test_kl_and_rewards(ppo: dict[str, Tensor]) -> None:
    """TRL puts the score on the slot after an answer that ended early, ours lies on the answer's last token."""
    mask, coef = ~ppo["padding_mask"], float(ppo["kl_coef"])
    assert_close(losses.kl_k1(ppo["logprobs"], ppo["ref_logprobs"]), ppo["kl"])
    found = losses.token_rewards(ppo["logprobs"], ppo["ref_logprobs"], ppo["scores"], mask, coef)
    full = mask.all(1)
    assert_close(found[full], ppo["rewards"][full])
    moved = ppo["rewards"].clone()
    for row in (~full).nonzero().flatten().tolist():
        end = int(mask[row].sum())
        moved[row, end - 1] += moved[row, end]
        moved[row, end] = 0
    assert_close(found, moved)


def test_advantages_returns_and_whitening(ppo: dict[str, Tensor]) -> None:
    """TRL whitens with the unbiased variance, N+ and ours with the biased one."""
    mask, mask_p1 = ~ppo["padding_mask"], ~ppo["padding_mask_p1"]
    found, returns = losses.advantages(
        ppo["rewards"], ppo["values"], mask_p1, gamma=float(ppo["gamma"]), lam=float(ppo["lam"])
    )
    assert_close(returns, ppo["returns"])
    n = int(mask.sum())
    assert_close(losses.whiten(found, mask) * ((n - 1) / n) ** 0.5, ppo["advantages"])


def test_ppo_losses(ppo: dict[str, Tensor]) -> None:
    """The second pass over the rollout, where ratios have left 1 and some are clipped."""
    rows = ppo["micro_batch_inds"]
    mask, mask_p1 = (~ppo[name][rows] for name in ("padding_mask", "padding_mask_p1"))
    old, advantages = ppo["logprobs"][rows], ppo["advantages"][rows]
    ratio = (ppo["new_logprobs"] - old).exp()
    assert 0.1 < losses.masked_mean(((ratio - 1).abs() > 0.2).float(), mask) < 0.9
    policy = losses.policy_losses(ppo["new_logprobs"], old, advantages, clip=float(ppo["cliprange"]))
    value = losses.value_losses(
        ppo["vpred"], ppo["values"][rows], ppo["returns"][rows], clip=float(ppo["cliprange_value"])
    )
    policy_loss, value_loss = losses.masked_mean(policy, mask), losses.masked_mean(value, mask_p1)
    assert_close(policy_loss, ppo["pg_loss"])
    assert_close(value_loss, ppo["vf_loss"])
    assert_close(policy_loss + ppo["vf_coef"] * value_loss, ppo["loss"])
