"""The formulas of SFT, reward models, PPO and DPO: pure functions of tensors, in float32, or float64 where given float64.

Shapes are in the names: B sequences, T their tokens, R response tokens, V vocabulary, K answers of one ranking.
A mask is 1 where a number is real; padding never enters a result. Sums and counts come apart where gradients are
accumulated, so that one global denominator (all tokens, all rankings of the batch) divides them, and never a
micro-batch's own.
"""

from training.core.losses.policy import (
    advantages,
    answer_rewards,
    explained_variance,
    kl_k1,
    kl_k3,
    leave_one_out,
    next_kl_coef,
    policy_losses,
    token_rewards,
    value_losses,
    whiten,
)
from training.core.losses.preference import (
    best_of_k_mean,
    best_of_n_kl,
    implicit_rewards,
    plackett_luce_losses,
    preference_losses,
)
from training.core.losses.ranking import (
    centring_losses,
    gap_margins,
    kept_pairs,
    pair_weights,
    ranking_losses,
    tied_pairs,
)
from training.core.losses.tokens import (
    masked_mean,
    masked_sum,
    nll_sum,
    precise,
    token_entropy,
    token_logprobs,
)
from training.core.losses.vocabulary import Head, chunk_positions, head_nll_sum, head_token_logprobs

__all__ = [
    "Head",
    "advantages",
    "answer_rewards",
    "best_of_k_mean",
    "best_of_n_kl",
    "centring_losses",
    "chunk_positions",
    "explained_variance",
    "gap_margins",
    "head_nll_sum",
    "head_token_logprobs",
    "implicit_rewards",
    "kept_pairs",
    "kl_k1",
    "kl_k3",
    "leave_one_out",
    "masked_mean",
    "masked_sum",
    "next_kl_coef",
    "nll_sum",
    "pair_weights",
    "plackett_luce_losses",
    "policy_losses",
    "precise",
    "preference_losses",
    "ranking_losses",
    "tied_pairs",
    "token_entropy",
    "token_logprobs",
    "token_rewards",
    "value_losses",
    "whiten",
]
