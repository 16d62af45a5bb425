"""Whole completions follow the distribution that the settings describe, enumerated in double by an independent way."""

from typing import Any

import numpy as np
import pytest

from inference.engine.config import SamplingParams
from inference.engine.requests import SampleRequest
from tests.inference.engine.support import EOS, Make, plain_logits, requests_of

DRAWS = 3000


def next_token(model: Any, request: SampleRequest, ids: tuple[int, ...]) -> dict[int, float]:
    """Probability of every token that may follow, by the formulas of SamplingParams."""
    params = request.params
    logits = plain_logits(model, [*request.prompt_ids, *ids]).double().numpy().copy()
    for token, bias in params.logit_bias.items():
        logits[token] += bias
    for token in {*request.prompt_ids, *ids}:
        rate = params.repetition_penalty
        logits[token] = logits[token] / rate if logits[token] > 0 else logits[token] * rate
    for token in set(ids):
        logits[token] -= ids.count(token) * params.frequency_penalty + params.presence_penalty
    if len(ids) < params.min_tokens:
        logits[EOS] = -np.inf
    logits /= params.temperature
    return kept(np.exp(logits - logits.max()), params)


def kept(weights: np.ndarray, params: SamplingParams) -> dict[int, float]:
    """top_k, then the smallest set that reaches top_p of what is left, then min_p of the most likely; normalised."""
    order = [int(i) for i in np.argsort(-weights)][: params.top_k or None]
    total, mass = sum(weights[i] for i in order), 0.0
    nucleus: list[int] = []
    for token in order:
        if nucleus and mass >= params.top_p * total:
            break
        nucleus.append(token)
        mass += weights[token]
    nucleus = [i for i in nucleus if weights[i] >= params.min_p * weights[order[0]]]
    left = sum(weights[i] for i in nucleus)
    return {i: float(weights[i] / left) for i in nucleus}


def completions(model: Any, request: SampleRequest) -> dict[tuple[int, ...], float]:
    """Probability of every completion that can come; beginnings rarer than one draw in 50,000 are not followed."""
    open_: dict[tuple[int, ...], float] = {(): 1.0}
    done: dict[tuple[int, ...], float] = {}
    while open_:
        ids, p = open_.popitem()
        for token, q in next_token(model, request, ids).items():
            longer = (*ids, token)
            ended = token == EOS or len(longer) == request.params.max_tokens
            if ended or p * q < 2e-5:
                done[longer] = p * q
            else:
                open_[longer] = p * q
    return done


@pytest.mark.parametrize(
    "settings",
    [
        {"top_k": 4, "repetition_penalty": 1.6, "frequency_penalty": 1.5, "presence_penalty": 0.7},
        {"top_p": 0.5, "temperature": 0.9, "logit_bias": {EOS: 4.0}},
        {"min_p": 0.2, "temperature": 1.5, "frequency_penalty": -1.0, "min_tokens": 2},
        {"top_k": 12, "top_p": 0.9, "min_p": 0.1, "temperature": 0.8, "presence_penalty": 2.0},
    ],
    ids=lambda settings: "+".join(settings),
)
def test_completions_follow_the_enumerated_distribution(
    gpt2: Any, engine_of: Make, settings: dict[str, Any]
) -> None:
    (request,) = requests_of([12], n=DRAWS, max_tokens=3, **settings)
    drawn = [s.token_ids for s in engine_of(gpt2, slots=1000).generate([request])[0]]
    wanted = completions(gpt2, request)
    assert sum(wanted.values()) == pytest.approx(1, abs=1e-9)
    counts = dict.fromkeys(wanted, 0)
    for ids in drawn:
        # A completion that cannot come is a KeyError; one from a beginning that was not followed counts for it.
        counts[next(ids[:end] for end in (3, 2, 1) if ids[:end] in counts)] += 1
    seen = np.array([counts[ids] for ids in wanted], dtype=float)
    expected = np.array(list(wanted.values())) * DRAWS
    big = expected >= 5
    assert big.sum() > 10
    seen, expected = (np.append(x[big], x[~big].sum() + 1e-9) for x in (seen, expected))
    freedom = len(seen) - 1
    assert ((seen - expected) ** 2 / expected).sum() < freedom + 4 * (2 * freedom) ** 0.5
