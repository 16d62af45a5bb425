"""What a causal language model says of chosen tokens of a batch. The head runs at their places alone, a chunk at a time.

The trunk's states and the head are taken apart, which is right for heads that are one linear layer, with or without a
scale (Cohere, Granite) and a soft cap (Gemma 2). Each model is asked once: where that is not what its own forward pass
computes, its logits are taken whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inference.engine.models import position_ids_of
from training.core.loop import evaluating
from training.core.losses import (
    Head,
    head_nll_sum,
    head_token_logprobs,
    nll_sum,
    token_entropy,
    token_logprobs,
)

_Shape = tuple[float, float | None]
_shapes: WeakKeyDictionary[nn.Module, _Shape | None] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens as the trunk reads them. attention: (B, T) of ones and zeros, or (B, 1, T, T) of who may look at whom."""

    ids_BT: Tensor
    attention: Tensor
    positions_BT: Tensor


def token_logprobs_of(
    model: PreTrainedModel, ids_BT: Tensor, mask_BT: Tensor, wanted_BT: Tensor, *, with_entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities (B, T), in nats, of the tokens where `wanted_BT` is true, each at its own place and 0 elsewhere.

    With them, if asked, the entropies of the distributions that these tokens come from. Column 0 can't be wanted: nothing
    foretells the first token. Padding may be on either side. The same batch gives the same bits every time.
    """
    wanted_BT = wanted_BT.bool()
    targets_N, places_N = ids_BT[wanted_BT], places_before(wanted_BT)
    found = logprobs_at(model, padded(ids_BT, mask_BT), places_N, targets_N, with_entropy=with_entropy)
    logp_BT, entropy_BT = (
        None if x is None else x.new_zeros(ids_BT.shape).masked_scatter(wanted_BT, x) for x in found
    )
    return cast(Tensor, logp_BT), entropy_BT


def padded(ids_BT: Tensor, mask_BT: Tensor) -> Batch:
    """A batch of one sequence a row. Padding on the right needs no mask: nothing real looks to the right of itself."""
    right = bool((mask_BT[:, 1:] <= mask_BT[:, :-1]).all())
    return Batch(ids_BT, torch.ones_like(mask_BT) if right else mask_BT, position_ids_of(mask_BT))


def places_before(wanted_BT: Tensor) -> Tensor:
    """Where the wanted tokens are foretold: one place before each, counted through the rows of the batch (N,)."""
    if bool(wanted_BT[:, 0].any()):
        raise ValueError(
            "the first token of a row is foretold by nothing; leave column 0 out of what is wanted."
        )
    return wanted_BT.flatten().nonzero().squeeze(1) - 1


def logprobs_at(
    model: PreTrainedModel, batch: Batch, places_N: Tensor, targets_N: Tensor, *, with_entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities (N,) of the targets at these places and, if asked, the entropies there, in nats."""
    head = head_of(model)
    if head is not None:
        return head_token_logprobs(
            _states(model, batch, places_N), targets_N, head, with_entropy=with_entropy
        )
    logits_NV = _logits(model, batch, places_N)
    return token_logprobs(logits_NV, targets_N), token_entropy(logits_NV) if with_entropy else None


def nll_at(model: PreTrainedModel, batch: Batch, places_N: Tensor, targets_N: Tensor) -> Tensor:
    """Summed negative log-likelihood of the targets at these places, in nats (a scalar tensor)."""
    head = head_of(model)
    if head is not None:
        return head_nll_sum(_states(model, batch, places_N), targets_N, head)
    return nll_sum(_logits(model, batch, places_N), targets_N, torch.ones_like(targets_N))


def head_of(model: PreTrainedModel) -> Head | None:
    """The model's head, or None where its logits are not head(states of the trunk)."""
    if model not in _shapes:
        _shapes[model] = _shape_of(model)
    shape = _shapes[model]
    return None if shape is None else _head(model, shape)


def _head(model: PreTrainedModel, shape: _Shape) -> Head:
    layer = cast(nn.Linear, cast(Any, model).get_output_embeddings())
    return Head(layer.weight, layer.bias, *shape)


def _shape_of(model: PreTrainedModel) -> _Shape | None:
    """Scale and soft cap as the config names them, if two tokens' logits show that there is no more to it."""
    if type(cast(Any, model).get_output_embeddings()) is not nn.Linear:
        return None
    config: Any = model.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(
        getattr(config, "logits_scaling", None) or 1.0
    )
    shape = scale, getattr(config, "final_logit_softcapping", None)
    ids_BT = torch.tensor([[0, 1]], device=model.device)
    batch = padded(ids_BT, torch.ones_like(ids_BT))
    places_N = torch.arange(2, device=model.device)
    with evaluating(model), torch.autocast(model.device.type, enabled=False):
        expected = _logits(model, batch, places_N).float().log_softmax(-1)
        found = [
            head_token_logprobs(
                _states(model, batch, places_N), torch.full_like(places_N, token), _head(model, shape)
            )[0]
            for token in range(min(expected.shape[-1], 8))
        ]
    off = float((torch.stack(found, 1) - expected[:, : len(found)]).abs().max())
    return shape if off <= (1e-4 if model.dtype == torch.float32 else 0.05) else None


def _inputs(batch: Batch) -> dict[str, Any]:
    return {
        "input_ids": batch.ids_BT, "attention_mask": batch.attention, "position_ids": batch.positions_BT, "use_cache": False,
    }  # fmt: skip


def _states(model: PreTrainedModel, batch: Batch, places_N: Tensor) -> Tensor:
    """Hidden states (N, D) as the head reads them."""
    trunk = getattr(model, model.base_model_prefix)
    states_BTD: Tensor = trunk(**_inputs(batch)).last_hidden_state
    return states_BTD.flatten(0, 1).index_select(0, places_N)


def _logits(model: PreTrainedModel, batch: Batch, places_N: Tensor) -> Tensor:
    logits_BTV: Tensor = model(**_inputs(batch)).logits
    return logits_BTV.flatten(0, 1).index_select(0, places_N)
