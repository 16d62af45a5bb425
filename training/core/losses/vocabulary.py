"""Token log-probabilities straight from hidden states, so that the logits of a batch never stand in memory whole.

N positions over a vocabulary of V have N x V logits: 39.6 GB at 64 x 1,024 positions and V = 151k in float32. Here the
head runs over a few positions at a time, and the logits of a chunk are dropped before the next one is made; the backward
pass makes them again, but for a batch so small that it keeps them (`KEPT_LOGITS`). Where the loss is their plain sum (`head_nll_sum`) the gradient is known as soon as the logits are,
and nothing is made twice (as in Liger Kernel, 2410.10989, section 3.2).

Chunks are cut by the number of positions and V alone: the same positions give the same bits every time.
Shapes: N positions, C positions of a chunk, D width of the model, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from training.core.losses.tokens import precise

CHUNK_LOGITS = 2**21
MIN_CHUNK = 128
KEPT_LOGITS = 2**23
"""So many log-probabilities (32 MiB) may wait for the backward pass, which then needn't make them again."""


@dataclass(frozen=True, slots=True)
class Head:
    """logits = cap(scale x (hidden W^T + b)), where cap(x) = softcap x tanh(x / softcap), or x without one."""

    weight_VD: Tensor
    bias_V: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None


def chunk_positions(vocabulary: int) -> int:
    """Positions whose logits stand in memory together: about two million numbers, and rows enough for a fast product."""
    return max(CHUNK_LOGITS // vocabulary, MIN_CHUNK)


def head_token_logprobs(
    hidden_ND: Tensor, tokens_N: Tensor, head: Head, *, with_entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probability (N,) of each token and, if asked, the entropy (N,) of the distribution it comes from, in nats.

    Both in float32 (float64 where given float64), under autocast too. Both can be differentiated, once.
    """
    options = (with_entropy, torch.is_grad_enabled())
    logp_N, entropy_N = _apply(_Logprobs, hidden_ND, tokens_N, head, options)
    return logp_N, entropy_N if with_entropy else None


def head_nll_sum(hidden_ND: Tensor, tokens_N: Tensor, head: Head) -> Tensor:
    """Summed negative log-likelihood of the tokens, in nats: a scalar in float32 (float64 where given float64)."""
    total: Tensor = _apply(_NLLSum, hidden_ND, tokens_N, head, torch.is_grad_enabled())
    return total


def _apply(function: type[Function], hidden_ND: Tensor, tokens_N: Tensor, head: Head, option: Any) -> Any:
    kind = hidden_ND.device.type
    # Autocast is over by the time of the backward pass, so the number format of the products is settled here.
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.weight_VD.dtype
    how = (dtype, head.scale, head.softcap)
    return function.apply(hidden_ND, head.weight_VD, head.bias_V, tokens_N, how, option)  # type: ignore[no-untyped-call]


class _Chunks:
    """The logits of a head chunk by chunk, and the gradients that flow back through it."""

    def __init__(self, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, how: Any) -> None:
        self.dtype, self.scale, self.cap = how
        self.hidden_ND, self.weight_VD, self.bias_V = (
            hidden_ND.to(self.dtype),
            weight_VD.to(self.dtype),
            bias_V,
        )
        self.grads: list[Tensor | None] = [None, None, None]

    def want(self, needed: tuple[bool, ...], inputs: tuple[Tensor, Tensor, Tensor | None]) -> None:
        """Make room for the gradients of hidden states, weight and bias, where somebody needs them."""
        self.grads = [
            torch.zeros_like(x) if n and x is not None else None for n, x in zip(needed, inputs, strict=False)
        ]

    @property
    def slices(self) -> list[slice]:
        """The positions of each chunk."""
        size = chunk_positions(self.weight_VD.shape[0])
        return [slice(start, start + size) for start in range(0, self.hidden_ND.shape[0], size)]

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """(positions, their logits (C, V) in at least float32)."""
        for here in self.slices:
            logits_CV = precise(self.hidden_ND[here] @ self.weight_VD.T)
            if self.bias_V is not None:
                logits_CV = logits_CV + self.bias_V
            if self.scale != 1.0:
                logits_CV *= self.scale
            if self.cap is not None:
                logits_CV = logits_CV.div_(self.cap).tanh_().mul_(self.cap)
            yield here, logits_CV

    def add(self, here: slice, grad_CV: Tensor, logits_CV: Tensor) -> None:
        """Add what follows from d loss / d logits, which is written over."""
        if self.cap is not None:
            grad_CV *= 1 - (logits_CV / self.cap) ** 2
        if self.scale != 1.0:
            grad_CV *= self.scale
        for_hidden, for_weight, for_bias = self.grads
        low_CV = grad_CV.to(self.dtype)
        if for_hidden is not None:
            for_hidden[here] = low_CV @ self.weight_VD
        if for_weight is not None and for_weight.dtype == self.dtype:
            for_weight.addmm_(low_CV.T, self.hidden_ND[here])
        elif for_weight is not None:
            for_weight += low_CV.T @ self.hidden_ND[here]
        if for_bias is not None:
            for_bias += grad_CV.sum(0)


class _Logprobs(Function):
    """Backward makes the logits again, unless there are so few that forward could keep their log-probabilities."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, tokens_N: Tensor, how: Any,
                options: tuple[bool, bool]) -> tuple[Tensor, Tensor]:  # fmt: skip
        with_entropy, learning = options
        ctx.how, ctx.with_entropy = how, with_entropy
        logp_N = torch.zeros(tokens_N.shape, dtype=precise(weight_VD[:0]).dtype, device=hidden_ND.device)
        entropy_N = torch.zeros_like(logp_N)
        chunks = _Chunks(hidden_ND, weight_VD, bias_V, how)
        keep = learning and chunks.cap is None and len(tokens_N) * len(weight_VD) <= KEPT_LOGITS
        kept: list[Tensor] = []
        for here, logits_CV in chunks:
            logp_CV = logits_CV.log_softmax(-1)
            logp_N[here] = _at(logp_CV, tokens_N[here])
            if with_entropy:
                entropy_N[here] = -(logp_CV.exp() * logp_CV).sum(-1)
            if keep:
                kept.append(logp_CV)
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, tokens_N, *kept)
        return logp_N, entropy_N

    @staticmethod
    def backward(ctx: Any, grad_logp_N: Tensor, grad_entropy_N: Tensor) -> tuple[Tensor | None, ...]:
        hidden_ND, weight_VD, bias_V, tokens_N, *kept = ctx.saved_tensors
        chunks = _Chunks(hidden_ND, weight_VD, bias_V, ctx.how)
        chunks.want(ctx.needs_input_grad, (hidden_ND, weight_VD, bias_V))
        again = ((here, logits_CV, logits_CV.log_softmax(-1)) for here, logits_CV in chunks)
        before = ((here, logp_CV, logp_CV) for here, logp_CV in zip(chunks.slices, kept, strict=True))
        for here, logits_CV, logp_CV in before if kept else again:
            g_C1 = grad_logp_N[here, None]
            if ctx.with_entropy:
                p_CV = logp_CV.exp()
                entropy_C1 = -(p_CV * logp_CV).sum(-1, keepdim=True)
                grad_CV = -p_CV * (g_C1 + grad_entropy_N[here, None] * (logp_CV + entropy_C1))
            else:
                grad_CV = logp_CV.exp().mul_(-g_C1)
            grad_CV.scatter_add_(1, tokens_N[here, None], g_C1)
            chunks.add(here, grad_CV, logits_CV)
        return (*chunks.grads, None, None, None)


class _NLLSum(Function):
    """Forward takes the gradient along, for an upstream gradient of 1, which backward then multiplies."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, tokens_N: Tensor, how: Any,
                learning: bool) -> Tensor:  # fmt: skip  # noqa: FBT001
        chunks = _Chunks(hidden_ND, weight_VD, bias_V, how)
        if learning:
            chunks.want(ctx.needs_input_grad, (hidden_ND, weight_VD, bias_V))
        total = torch.zeros((), dtype=precise(weight_VD[:0]).dtype, device=hidden_ND.device)
        for here, logits_CV in chunks:
            logp_CV, tokens_C1 = logits_CV.log_softmax(-1), tokens_N[here, None]
            total -= logp_CV.gather(1, tokens_C1).sum()
            if any(grad is not None for grad in chunks.grads):
                grad_CV = logp_CV.exp_()
                grad_CV.scatter_add_(1, tokens_C1, torch.full_like(grad_CV[:, :1], -1.0))
                chunks.add(here, grad_CV, logits_CV)
        ctx.save_for_backward(*chunks.grads)
        return total

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        return (
            *(None if g is None else g * grad_total.to(g.dtype) for g in ctx.saved_tensors),
            None,
            None,
            None,
        )


def _at(x_CV: Tensor, tokens_C: Tensor) -> Tensor:
    return x_CV.gather(1, tokens_C.unsqueeze(1)).squeeze(1)
