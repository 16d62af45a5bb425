"""RLOO: REINFORCE with the other answers to the same prompt as baseline ("Back to Basics", 2402.14740).

    python -m training.core rloo runs/5/run.json

The whole answer is one action. Its reward is the score minus kl_coef x the summed log-ratio to the reference; its
advantage is that minus the mean reward of the other `samples_per_prompt` - 1 answers. Nothing is whitened and nothing
learns values. By default each rollout gives one optimizer step, so the ratio is 1 and the gradient is REINFORCE's own.
Differs from the paper: more epochs or minibatches may follow, under PPO's clip of the answer's whole ratio.
"""

from __future__ import annotations

from typing import Any

from training.core.config import RLOOConfig
from training.core.loop import Numbers
from training.core.losses import answer_rewards, leave_one_out
from training.core.policy import Algorithm, train_policy
from training.core.ppo_update import Batch
from training.core.rollout import RewardFunction, Scored
from training.core.run_folder import Run


def train_rloo(run: Run, reward_function: RewardFunction | None = None) -> dict[str, Any]:
    """Train and publish; returns what result.json holds. A reward function takes the reward model's place in experiments."""
    return train_policy(run, RLOO, reward_function)


def with_baselines(scored: Scored, kl_coef: float, cfg: RLOOConfig) -> tuple[Batch, Numbers]:
    """One advantage an answer, (B,)."""
    rewards_B = answer_rewards(scored.logp_BR, scored.ref_logp_BR, scored.score_B, scored.mask_BR, kl_coef)
    found_B = leave_one_out(rewards_B, cfg.samples_per_prompt)
    return Batch(scored.rollout, scored.mask_BR, scored.logp_BR, found_B), {
        "advantage_std": float(found_B.std(correction=0))
    }


RLOO = Algorithm(with_baselines, None)
