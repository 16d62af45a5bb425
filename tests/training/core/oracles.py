"""The formulas again, slow and obvious, in numpy float64: written from the papers and not from the product's code."""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def log_softmax(logits: Array) -> Array:
    shifted: Array = logits - logits.max(-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def nll(logits: Array, tokens: Array, mask: Array) -> float:
    logp, total = log_softmax(logits), 0.0
    for b in range(tokens.shape[0]):
        for t in range(tokens.shape[1]):
            if mask[b, t]:
                total -= logp[b, t, int(tokens[b, t])]
    return float(total)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def ranking_loss(
    scores: list[float],
    ranks: list[int],
    *,
    half: bool = False,
    margin: float = 0.0,
    levels: list[float] | None = None,
) -> float:
    """Mean of -log sigmoid(better - worse - margin x gap) over all pairs of two different answers that are not tied.

    half: a tied pair counts too, as the mean of what it costs either way. levels: where gaps come from, if not from ranks;
    NaN is unknown and makes no margin, and so does a gap that contradicts the order.
    """
    terms = []
    for i, j in combinations(range(len(scores)), 2):
        if ranks[i] != ranks[j]:
            better, worse = (i, j) if ranks[i] < ranks[j] else (j, i)
            gap = (levels or ranks)[worse] - (levels or ranks)[better]
            held = margin * gap if gap > 0 else 0.0
            terms.append(-math.log(sigmoid(scores[better] - scores[worse] - held)))
        elif half:
            d = scores[i] - scores[j]
            terms.append(-0.5 * (math.log(sigmoid(d)) + math.log(sigmoid(-d))))
    return sum(terms) / len(terms) if terms else 0.0


def centring_loss(scores: list[float], ranks: list[int], *, half: bool = False) -> float:
    """Mean of (r_i + r_j)^2 over the pairs that count."""
    pairs = [(i, j) for i, j in combinations(range(len(scores)), 2) if half or ranks[i] != ranks[j]]
    return sum((scores[i] + scores[j]) ** 2 for i, j in pairs) / len(pairs) if pairs else 0.0


def dpo_loss(logp: list[float], ref: list[float], ranks: list[int], beta: float, smoothing: float) -> float:
    """2305.18290 Eq. 7 over all pairs of two answers that are not tied, each flipped with probability `smoothing`."""
    terms = []
    for w, z in permutations(range(len(ranks)), 2):
        if ranks[w] < ranks[z]:
            p = sigmoid(beta * ((logp[w] - ref[w]) - (logp[z] - ref[z])))
            terms.append(-(1 - smoothing) * math.log(p) - smoothing * math.log(1 - p))
    return sum(terms) / len(terms) if terms else 0.0


def plackett_luce_loss(rewards: list[float], ranks: list[int]) -> float:
    """-log of the probability of each choice of an answer from itself and those ranked below it, per choice."""
    terms = []
    for i, rank in enumerate(ranks):
        below = [r for r, other in zip(rewards, ranks, strict=True) if other > rank]
        if below:
            terms.append(-math.log(math.exp(rewards[i]) / sum(math.exp(r) for r in [rewards[i], *below])))
    return sum(terms) / len(terms) if terms else 0.0


def token_rewards(logp: Array, ref: Array, score: Array, lengths: list[int], beta: float) -> Array:
    rewards = np.zeros_like(logp)
    for b, length in enumerate(lengths):
        for t in range(length):
            rewards[b, t] = -beta * (logp[b, t] - ref[b, t]) + (score[b] if t == length - 1 else 0.0)
    return rewards


def gae(rewards: Array, values: Array, lengths: list[int], gamma: float, lam: float) -> tuple[Array, Array]:
    """A_t = sum over k of (gamma lam)^k delta_{t+k}, by its definition: O(T^2), no recursion."""
    found = np.zeros_like(rewards)
    for b, length in enumerate(lengths):
        value = [*values[b, :length], 0.0]
        delta = [rewards[b, t] + gamma * value[t + 1] - value[t] for t in range(length)]
        for t in range(length):
            found[b, t] = sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, length))
    returns = found.copy()
    for b, length in enumerate(lengths):
        returns[b, :length] += values[b, :length]
    return found, returns


def whiten(x: Array, mask: Array, *, shift_mean: bool) -> Array:
    real = x[mask.astype(bool)]
    white = (x - real.mean()) / np.sqrt(((real - real.mean()) ** 2).mean() + 1e-8)
    return np.where(mask, white if shift_mean else white + real.mean(), 0.0)


def policy_loss(logp: float, old: float, advantage: float, clip: float, dual_clip: float = math.inf) -> float:
    ratio = math.exp(logp - old)
    if advantage < 0:
        return -advantage * min(max(ratio, 1 - clip), dual_clip)
    return -advantage * min(ratio, 1 + clip)


def value_loss(value: float, old: float, target: float, clip: float) -> float:
    held = min(max(value, old - clip), old + clip)
    return 0.5 * max((value - target) ** 2, (held - target) ** 2)


def leave_one_out(rewards: list[float], group: int) -> list[float]:
    """Each reward minus the mean of the others of its group."""
    found = []
    for i, reward in enumerate(rewards):
        first = i // group * group
        others = [rewards[j] for j in range(first, first + group) if j != i]
        found.append(reward - sum(others) / len(others))
    return found
