"""How far a score can be pushed before what it stands for falls: the law of Gao, Schulman and Hilton (2210.10760).

No torch here. d is the square root of the KL to the reference. Under RL a reward model's gain goes as d (alpha - beta log d)
(their Eq. in section 3.1; best-of-n has d (alpha - beta d)), for the reward that is trained on with a small beta and for
any other that stands nearer to people with a larger one, whose curve therefore turns first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FEWEST = 5
"""Points that a law of three numbers is fitted to at least."""


class Law(NamedTuple):
    """R(d) = start + d (alpha - beta log d), with its share of the variance explained and where it is highest."""

    alpha: float  # reward / sqrt(nat)
    beta: float  # reward / sqrt(nat)
    start: float  # reward at the reference
    r2: float
    peak_d: float  # sqrt(nats / response); infinite where the law never turns


def fit_overoptimisation(d: Sequence[float], rewards: Sequence[float]) -> Law | None:
    """Least squares on R itself, in float64: R / d would give the points near the reference, which are noise, all the weight.

    The paper takes R(0) = 0. Here it is fitted too, since one iteration's mean is a noisy zero, and a later round starts
    some way from its reference. None where fewer than FEWEST distances are told apart, or all rewards are equal.
    """
    d_N, reward_N = np.asarray(d, np.float64), np.asarray(rewards, np.float64)
    if len(np.unique(d_N[d_N > 0])) < FEWEST or np.ptp(reward_N) == 0:
        return None
    log_N = np.log(np.where(d_N > 0, d_N, 1.0))  # d log d goes to 0 with d.
    terms_N3 = np.stack([d_N, -d_N * log_N, np.ones_like(d_N)], 1)
    (alpha, beta, start), *_ = np.linalg.lstsq(terms_N3, reward_N, rcond=None)
    missed = float(((reward_N - terms_N3 @ [alpha, beta, start]) ** 2).sum())
    r2 = 1 - missed / float(((reward_N - reward_N.mean()) ** 2).sum())
    return Law(float(alpha), float(beta), float(start), r2, _peak(float(alpha), float(beta)))


def _peak(alpha: float, beta: float) -> float:
    """Where the law's derivative, alpha - beta log d - beta, is 0."""
    exponent = alpha / beta - 1 if beta > 0 else math.inf
    return math.exp(exponent) if exponent < 300 else math.inf
