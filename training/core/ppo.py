"""PPO against a learned reward, after InstructGPT (2203.02155, section 3.5 and C.4).

    python -m training.core ppo runs/4/run.json

The value network is a network of its own that starts as the reward model, head and shift included (N+, 2403.17031); an
answer that never ends has the score `no_eos_reward`. With `ptx_coef` the gradient of other text is mixed in.
Differs from the paper: the reference may be another model than the policy's start (the chain's SFT in later rounds).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from inference.engine.models import ScalarModel
from training.core.config import PPOConfig
from training.core.loop import Numbers
from training.core.losses import advantages, explained_variance, masked_mean, token_rewards, whiten
from training.core.policy import Algorithm, train_policy
from training.core.ppo_update import Batch, Critic
from training.core.rollout import RewardFunction, Scored
from training.core.run_folder import Run
from training.core.stage import new_scalar_input


def train_ppo(run: Run, reward_function: RewardFunction | None = None) -> dict[str, Any]:
    """Train and publish; returns what result.json holds. A reward function takes the reward model's place in experiments."""
    return train_policy(run, PPO, reward_function)


def value_network(run: Run, reward: ScalarModel | None, device: torch.device) -> ScalarModel:
    """A copy of the reward model with its shift; without one the policy's trunk under a head of zeros."""
    if reward is not None:
        return copy.deepcopy(reward)
    value = new_scalar_input(run, "model", device)
    nn.init.zeros_(value.score.weight)  # A head that knows nothing says 0 (lm-human-preferences).
    return value


def with_advantages(scored: Scored, kl_coef: float, cfg: PPOConfig) -> tuple[Batch, Numbers]:
    """Rewards per token, advantages whitened over the whole rollout, and returns taken before the whitening."""
    mask, values = scored.mask_BR, scored.values_BR
    rewards = token_rewards(scored.logp_BR, scored.ref_logp_BR, scored.score_B, mask, kl_coef)
    if cfg.whiten_rewards:
        rewards = whiten(rewards, mask, shift_mean=False)
    found, returns = advantages(rewards, values, mask, gamma=cfg.gamma, lam=cfg.lam)
    critic = Critic(values, returns, clip=cfg.value_clip, coef=cfg.value_coef)
    return Batch(scored.rollout, mask, scored.logp_BR, whiten(found, mask), critic), {
        "explained_variance": float(explained_variance(values, returns, mask)),
        "return_mean": float(masked_mean(returns, mask)),
        "value_mean": float(masked_mean(values, mask)),
    }


PPO = Algorithm(with_advantages, value_network)
