"""Sums and means under masks, and what a model says of single tokens."""

from __future__ import annotations

import torch
from torch import Tensor, where, zeros_like


def precise(x: Tensor) -> Tensor:
    """At least float32: log-probabilities and losses are never computed in bfloat16."""
    return x if x.dtype == torch.float64 else x.float()


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    # where() and not a product: a NaN under padding must not get through as NaN * 0.
    return where(mask.bool(), x, zeros_like(x)).sum()


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    return masked_sum(x, mask) / mask.sum()


def token_logprobs(logits_BTV: Tensor, tokens_BT: Tensor) -> Tensor:
    """Log-probability (B, T), in nats, that the model gave to each token that really stands there."""
    logp_BTV = precise(logits_BTV).log_softmax(-1)
    return logp_BTV.gather(-1, tokens_BT.unsqueeze(-1)).squeeze(-1)


def token_entropy(logits_BTV: Tensor) -> Tensor:
    """Entropy (B, T) of the next-token distribution, in nats."""
    logp_BTV = precise(logits_BTV).log_softmax(-1)
    return -(logp_BTV.exp() * logp_BTV).sum(-1)


def nll_sum(logits_BTV: Tensor, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Summed negative log-likelihood of the masked-in tokens, in nats. SFT masks in the answer and its EOS only."""
    return -masked_sum(token_logprobs(logits_BTV, tokens_BT), mask_BT)
