"""From logits to tokens, for many rows at once.

A row's token is a function of its own logits, its settings and one number u in [0, 1) that hangs on
(namespace, seed, key, candidate, position) alone: token = first j with cdf[j] > u * total, in the order of token ids.
Every step that reads a row does the same arithmetic whoever its neighbours are, so a sample can be drawn again in any batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from inference.engine.config import SamplingParams

# B rows, V vocabulary, R rows that truncate (R <= B), K most likely tokens looked at

TOP_P_LOOK = 512
"""Most likely tokens that usually hold top_p's mass: finding these is far cheaper than sorting a whole vocabulary."""

_CHUNK = 32


class Uniforms:
    """The row's endless list of u, from the counter-based generator Philox (Salmon et al. 2011), made in chunks."""

    __slots__ = ("_chunk", "_philox", "_place")

    def __init__(self, *, namespace: str, seed: int, key: str, candidate: int) -> None:
        name = json.dumps([namespace, seed, key, candidate]).encode()
        self._philox = np.random.Philox(
            key=int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
        )
        self._chunk: list[float] = []
        self._place = 0

    def next(self) -> float:
        """The u of the next position: 53 random bits / 2**53."""
        if self._place == len(self._chunk):
            # Raw bits, not Generator.random(): numpy promises that only the former never change.
            self._chunk = ((self._philox.random_raw(_CHUNK) >> np.uint64(11)) * 2.0**-53).tolist()
            self._place = 0
        self._place += 1
        return self._chunk[self._place - 1]


class Adjustment:
    """One row's bias, penalties and bans: kept sparse, since a completion names few of the vocabulary's tokens."""

    __slots__ = ("_banned", "_bias_ids", "_bias_values", "_counts", "_met", "_params", "_sampled")

    def __init__(self, params: SamplingParams, prompt_ids: Sequence[int], ends: Iterable[int]) -> None:
        self._params = params
        self._bias_ids = torch.tensor(list(params.logit_bias), dtype=torch.long)
        self._bias_values = torch.tensor(list(params.logit_bias.values()), dtype=torch.float32)
        self._banned = torch.tensor(sorted(ends), dtype=torch.long)
        self._counts: dict[int, int] = {}
        self._met = set(prompt_ids) if params.repetition_penalty != 1 else set()
        self._sampled = 0

    @staticmethod
    def needed(params: SamplingParams) -> bool:
        """False where the raw logits are drawn from as they are."""
        penalties = params.frequency_penalty or params.presence_penalty or params.repetition_penalty != 1
        return bool(penalties or params.logit_bias or params.min_tokens)

    def took(self, token: int) -> None:
        """Note a sampled token."""
        self._sampled += 1
        self._counts[token] = self._counts.get(token, 0) + 1

    def apply(self, logits_V: Tensor) -> None:
        """Change this row's logits in place; formulas and order stand in SamplingParams."""
        params, device = self._params, logits_V.device
        if params.logit_bias:
            logits_V[self._bias_ids.to(device)] += self._bias_values.to(device)
        if params.repetition_penalty != 1:
            met = torch.tensor(sorted(self._met.union(self._counts)), device=device)
            values = logits_V[met]
            factor = params.repetition_penalty
            logits_V[met] = torch.where(values > 0, values / factor, values * factor)
        if self._counts and (params.frequency_penalty or params.presence_penalty):
            ids = torch.tensor(list(self._counts), device=device)
            counts = torch.tensor(list(self._counts.values()), dtype=torch.float32, device=device)
            logits_V[ids] -= counts * params.frequency_penalty + params.presence_penalty
        if self._sampled < params.min_tokens:
            logits_V[self._banned.to(device)] = -torch.inf


class Plan:
    """Settings of the rows of one batch as tensors; made again only when the rows change."""

    def __init__(self, params: Sequence[SamplingParams], device: torch.device) -> None:
        temperature = torch.tensor([p.temperature for p in params], dtype=torch.float32, device=device)
        self.greedy_B = temperature == 0
        self.all_greedy = bool(self.greedy_B.all())
        self.any_greedy = bool(self.greedy_B.any())
        self.scale_B1 = None
        if not bool(((temperature == 1) | self.greedy_B).all()):
            self.scale_B1 = torch.where(self.greedy_B, torch.ones_like(temperature), temperature)[:, None]
        cut = [i for i, p in enumerate(params) if p.temperature and (p.top_k or p.top_p < 1 or p.min_p)]
        self.cut_R = torch.tensor(cut, dtype=torch.long, device=device) if cut else None
        self.top_k_R = torch.tensor([params[i].top_k for i in cut], dtype=torch.long, device=device)
        self.top_p_R = torch.tensor([params[i].top_p for i in cut], dtype=torch.float64, device=device)
        self.min_p_R = torch.tensor([params[i].min_p for i in cut], dtype=torch.float32, device=device)


def draw(
    logits_BV: Tensor, plan: Plan, adjustments: Sequence[Adjustment | None], uniforms: Sequence[float]
) -> tuple[list[int], list[float], list[bool]]:
    """One token per row, its log-probability under the raw logits at temperature 1, and whether the row is sound.

    A row whose logits hold NaN or +inf is not: its token means nothing.
    """
    raw_BV = logits_BV.float()
    raw_top_B1, raw_weights_BV = _weights(raw_BV)
    log_total_B1 = raw_top_B1 + raw_weights_BV.sum(-1, keepdim=True, dtype=torch.float64).log()
    work_BV = raw_BV
    if any(adjustment is not None for adjustment in adjustments):
        work_BV = raw_BV.clone()
        for row, adjustment in enumerate(adjustments):
            if adjustment is not None:
                adjustment.apply(work_BV[row])
    tokens_B = work_BV.argmax(-1) if plan.any_greedy else None
    if not plan.all_greedy:
        if plan.scale_B1 is not None:
            work_BV = work_BV / plan.scale_B1
        weights_BV = raw_weights_BV if work_BV is raw_BV else _weights(work_BV)[1]
        drawn_B = _draw_by_cdf(weights_BV, plan, uniforms)
        tokens_B = drawn_B if tokens_B is None else torch.where(plan.greedy_B, tokens_B, drawn_B)
    assert tokens_B is not None  # noqa: S101 - all greedy or not: one of the two branches ran; tells mypy
    logprobs_B1 = raw_BV.gather(1, tokens_B[:, None]) - log_total_B1
    sound_B1 = log_total_B1.isfinite()
    return tokens_B.tolist(), logprobs_B1.squeeze(1).tolist(), sound_B1.squeeze(1).tolist()


def _weights(logits_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's largest logit (B, 1), and its probabilities times a number of the row's own: one pass of exp, no division."""
    top_B1 = logits_BV.amax(-1, keepdim=True)
    return top_B1, (logits_BV - top_B1).exp_()


def _draw_by_cdf(weights_BV: Tensor, plan: Plan, uniforms: Sequence[float]) -> Tensor:
    """First token whose cumulative weight passes u * total; sums in double, as V additions in fp32 lose digits."""
    if plan.cut_R is not None:
        weights_BV[plan.cut_R] = truncate(weights_BV[plan.cut_R], plan.top_k_R, plan.top_p_R, plan.min_p_R)
    cdf_BV = weights_BV.cumsum(-1, dtype=torch.float64)
    total_B1 = cdf_BV[:, -1:]
    u_B1 = torch.tensor(uniforms, dtype=torch.float64, device=weights_BV.device)[:, None]
    # Below the total even after rounding, or the search would run past the last token that has any probability.
    aim_B1 = torch.minimum(u_B1 * total_B1, torch.nextafter(total_B1, torch.zeros_like(total_B1)))
    return torch.searchsorted(cdf_BV, aim_B1, right=True).squeeze(1).clamp(max=weights_BV.shape[1] - 1)


def truncate(weights_RV: Tensor, top_k_R: Tensor, top_p_R: Tensor, min_p_R: Tensor) -> Tensor:
    """Zero what top_k, then top_p, then min_p leave out. Weights are probabilities times any number, before and after.

    Each rule is a threshold, so tokens that tie with the last one kept are kept too (as transformers does for top_k).
    """
    vocabulary = weights_RV.shape[1]
    kept_RV = weights_RV
    if bool((top_k_R > 0).any()):
        wanted_R = top_k_R.where(top_k_R > 0, vocabulary).clamp(max=vocabulary)
        limited = wanted_R < vocabulary
        if bool(limited.any()):
            top_RK = kept_RV.topk(int(wanted_R[limited].max()), dim=-1).values
            place_R1 = (wanted_R - 1).clamp(max=top_RK.shape[1] - 1)[:, None]
            floor_R1 = torch.where(limited[:, None], top_RK.gather(1, place_R1), 0.0)
            kept_RV = kept_RV.where(kept_RV >= floor_R1, 0.0)
    if bool((top_p_R < 1).any()):
        kept_RV = kept_RV.where(kept_RV >= _top_p_floor(kept_RV, top_p_R), 0.0)
    if bool((min_p_R > 0).any()):
        kept_RV = kept_RV.where(kept_RV >= min_p_R[:, None] * kept_RV.amax(-1, keepdim=True), 0.0)
    return kept_RV


def _top_p_floor(kept_RV: Tensor, top_p_R: Tensor) -> Tensor:
    """Weight (R, 1) of the token at which the sorted mass reaches top_p of the total; 0 where top_p is 1."""
    aim_R = top_p_R * kept_RV.sum(-1, dtype=torch.float64)
    look = min(TOP_P_LOOK, kept_RV.shape[1])
    top_RK = kept_RV.topk(look, dim=-1).values
    mass_RK = top_RK.cumsum(-1, dtype=torch.float64)
    if look < kept_RV.shape[1] and bool(((mass_RK[:, -1] < aim_R) & (top_p_R < 1)).any()):
        top_RK = kept_RV.sort(dim=-1, descending=True).values
        mass_RK = top_RK.cumsum(-1, dtype=torch.float64)
    place_R1 = torch.searchsorted(mass_RK, aim_R[:, None]).clamp(max=top_RK.shape[1] - 1)
    return torch.where(top_p_R[:, None] < 1, top_RK.gather(1, place_R1), 0.0)
