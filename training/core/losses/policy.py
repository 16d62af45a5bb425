"""The formulas of reinforcement learning on answers: prices, rewards, advantages, clipped losses."""

from __future__ import annotations

from torch import Tensor, where, zeros_like

from training.core.losses.tokens import masked_mean


def kl_k1(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """log p/q per token: unbiased for KL(p || q) under p's samples, and what the reward pays for."""
    return logp - ref_logp


def kl_k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """q/p - 1 - log q/p per token: unbiased too, never negative, less noisy. For watching (Schulman 2020)."""
    log_ratio = ref_logp - logp
    return log_ratio.exp() - 1 - log_ratio


def token_rewards(
    logp_BR: Tensor, ref_logp_BR: Tensor, score_B: Tensor, mask_BR: Tensor, kl_coef: float
) -> Tensor:
    """-kl_coef * (log p - log ref) at every real token, plus the score on the last real one, which is the EOS itself.

    TRL and N+ put the score one slot later when there is padding; here the reward of an answer lies inside the answer.
    """
    penalty_BR = -kl_coef * kl_k1(logp_BR, ref_logp_BR)
    rewards_BR = where(mask_BR.bool(), penalty_BR, zeros_like(penalty_BR))
    last_B1 = mask_BR.long().sum(1, keepdim=True) - 1
    return rewards_BR.scatter_add(1, last_B1, score_B.to(rewards_BR.dtype).unsqueeze(1))


def advantages(
    rewards_BR: Tensor, values_BR: Tensor, mask_BR: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman 2016): advantages and returns, both (B, R), 0 under padding.

    values[t] is the value before token t was chosen. After the last real token the value is 0: the answer is over.
    Returns are advantages + values, taken before any whitening.
    """
    rewards = where(mask_BR.bool(), rewards_BR, zeros_like(rewards_BR))
    values = where(mask_BR.bool(), values_BR, zeros_like(values_BR))
    found = zeros_like(rewards)
    next_value, next_advantage = zeros_like(values[:, 0]), zeros_like(values[:, 0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        next_advantage = delta + gamma * lam * next_advantage
        next_value = values[:, t]
        found[:, t] = next_advantage
    # Under padding everything is 0, so the recursion enters the last real token with value 0 and advantage 0.
    return found, found + values


def leave_one_out(rewards_B: Tensor, group: int) -> Tensor:
    """RLOO's advantages: A_i = R_i - mean of the R_j of the other answers to the same prompt (Kool et al. 2019; 2402.14740).

    The answers of a prompt stand one after another, `group` of them. The baseline hangs on no token of answer i, so the
    gradient stays unbiased.
    """
    rewards_GK = rewards_B.view(-1, group)
    others_GK = (rewards_GK.sum(1, keepdim=True) - rewards_GK) / (group - 1)
    return (rewards_GK - others_GK).view(-1)


def answer_rewards(
    logp_BR: Tensor, ref_logp_BR: Tensor, score_B: Tensor, mask_BR: Tensor, kl_coef: float
) -> Tensor:
    """score - kl_coef * (log p - log ref) of the whole answer, (B,): the sum of `token_rewards`."""
    return token_rewards(logp_BR, ref_logp_BR, score_B, mask_BR, kl_coef).sum(1)


def whiten(x: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """To mean 0 and variance 1 over all real entries of the batch (biased variance, 1e-8 under the root: LHP, N+)."""
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean) ** 2, mask)
    white = (x - mean) * (variance + 1e-8).rsqrt()
    white = white if shift_mean else white + mean
    return where(mask.bool(), white, zeros_like(white))


def policy_losses(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, *, clip: float, dual_clip: float | None = None
) -> Tensor:
    """PPO's clipped objective per token: max(-A r, -A clip(r, 1 - clip, 1 + clip)).

    With `dual_clip` c it is at most -c A where A < 0 (Ye et al. 1912.09729, Eq. 5): a ratio that has run away upwards, which
    the first clip leaves alone there, pulls no harder than c.
    """
    ratio = (logp - old_logp).exp()
    losses = (-advantage * ratio).maximum(-advantage * ratio.clamp(1 - clip, 1 + clip))
    return (
        losses if dual_clip is None else where(advantage < 0, losses.minimum(-dual_clip * advantage), losses)
    )


def value_losses(value: Tensor, old_value: Tensor, returns: Tensor, *, clip: float) -> Tensor:
    """Half of the larger squared error of the value and of the value held within +-clip of its old one, per token."""
    held = old_value + (value - old_value).clamp(-clip, clip)
    return 0.5 * ((value - returns) ** 2).maximum((held - returns) ** 2)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over real tokens: 1 is a perfect value network, 0 a constant one."""
    error = returns - values
    unexplained = masked_mean((error - masked_mean(error, mask)) ** 2, mask)
    return 1 - unexplained / (masked_mean((returns - masked_mean(returns, mask)) ** 2, mask) + 1e-12)


def next_kl_coef(kl_coef: float, kl: float, *, target: float, episodes: int, horizon: float) -> float:
    """The proportional controller of Ziegler et al. (1909.08593, 2.2): errors beyond 20 % count as 20 %."""
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * episodes / horizon)
