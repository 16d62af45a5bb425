"""The engine: what it writes, that nothing but weights, prompt, settings and seed decides it, and how requests end."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from inference.engine.chat import decode, encode_text
from inference.engine.config import SamplingParams
from inference.engine.requests import SampleRequest
from inference.engine.sampling import Uniforms
from tests.inference.engine.support import (
    EOS,
    LENGTHS,
    Make,
    ids_of,
    plain_logits,
    requests_of,
    run_to_the_end,
)


def test_greedy_equals_generate(model: Any, engine_of: Make) -> None:
    requests = requests_of(LENGTHS, n=2, temperature=0)
    for request, group in zip(requests, engine_of(model, slots=5).generate(requests), strict=True):
        whole = model.generate(torch.tensor([request.prompt_ids]), do_sample=False, max_new_tokens=24)
        wanted = tuple(whole[0, len(request.prompt_ids) :].tolist())
        assert [sample.token_ids for sample in group] == [wanted, wanted]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.7, "top_p": 0.9},
        {"temperature": 0, "frequency_penalty": 1.5, "presence_penalty": -0.5, "repetition_penalty": 1.4},
        {"top_k": 20, "frequency_penalty": 2.0, "repetition_penalty": 0.8, "logit_bias": {4: -5.0, 77: 6.0}},
        {
            "temperature": 1.5,
            "min_p": 0.05,
            "presence_penalty": 2.0,
            "min_tokens": 12,
            "logit_bias": {4: 5.0},
        },
    ],
    ids=lambda settings: "+".join(settings) or "plain",
)
def test_samples_equal_a_slow_loop_of_plain_forwards(
    model: Any, engine_of: Make, settings: dict[str, Any]
) -> None:
    requests = requests_of([5, 30, 9], n=2, **settings)
    for request, group in zip(requests, engine_of(model, slots=4).generate(requests), strict=True):
        for sample in group:
            assert list(sample.token_ids) == slow_sample(model, request, sample.candidate)


def slow_sample(model: Any, request: SampleRequest, candidate: int) -> list[int]:
    """Dense, in double, one token at a time, straight from the formulas."""
    stream = Uniforms(namespace="", seed=request.seed, key=request.key, candidate=candidate)
    params = request.params
    ids: list[int] = []
    while len(ids) < params.max_tokens and EOS not in ids:
        logits = plain_logits(model, [*request.prompt_ids, *ids]).double()
        for token, bias in params.logit_bias.items():
            logits[token] += bias
        counts = torch.bincount(torch.tensor(ids, dtype=torch.long), minlength=512)
        met = counts + torch.bincount(torch.tensor(request.prompt_ids), minlength=512) > 0
        rate = params.repetition_penalty
        logits = torch.where(met, torch.where(logits > 0, logits / rate, logits * rate), logits)
        logits -= counts * params.frequency_penalty + (counts > 0) * params.presence_penalty
        if len(ids) < params.min_tokens:
            logits[EOS] = -torch.inf
        ids.append(slow_draw(logits, params, stream.next()))
    return ids


def slow_draw(logits: Tensor, params: SamplingParams, u: float) -> int:
    if params.temperature == 0:
        return int(logits.argmax())
    values, order = (logits / params.temperature).softmax(-1).sort(descending=True)
    if params.top_k:
        values[params.top_k :] = 0
    values[values.cumsum(0) - values >= params.top_p * values.sum()] = 0
    values[values < params.min_p * values[0]] = 0
    kept = torch.zeros_like(values).scatter(0, order, values)
    return int((kept.cumsum(0) <= u * kept.sum()).sum())


def test_a_sample_hangs_on_no_neighbour_slot_length_or_order(
    model: Any, engine_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = requests_of(LENGTHS, top_p=0.95, frequency_penalty=0.3, max_tokens=16)
    wanted = ids_of(engine_of(model, slots=8).generate(requests))
    assert len({ids for group in wanted for ids in group}) == 3 * len(LENGTHS)
    for slots, share in ((1, True), (3, True), (3, False), (8, False), (24, True), (50, True)):
        assert ids_of(engine_of(model, slots=slots, share_prompts=share).generate(requests)) == wanted
    for bucket in (1, 256):
        monkeypatch.setattr("inference.engine.cache.BUCKET", bucket)
        assert ids_of(engine_of(model, slots=8).generate(requests)) == wanted
    turned = ids_of(engine_of(model, slots=8).generate(requests[::-1]))
    assert turned[::-1] == wanted
    alone = engine_of(model, slots=8).generate([replace(requests[5], candidates=(2, 0))])[0]
    assert [(s.candidate, s.token_ids) for s in alone] == [(2, wanted[5][2]), (0, wanted[5][0])]


def test_seed_key_and_namespace_each_give_other_samples(gpt2: Any, engine_of: Make) -> None:
    request = requests_of([9], n=4, ignore_eos=True)[0]
    first = engine_of(gpt2).generate([request])
    for other in (replace(request, seed=12), replace(request, key="other")):
        assert not set(ids_of(engine_of(gpt2).generate([other]))[0]) & set(ids_of(first)[0])
    assert not set(ids_of(engine_of(gpt2, seed_namespace="x").generate([request]))[0]) & set(ids_of(first)[0])
    assert engine_of(gpt2).generate([request]) == first


def test_first_tokens_follow_the_models_distribution(gpt2: Any, engine_of: Make) -> None:
    request = requests_of([12], n=3000, max_tokens=1)[0]
    samples = engine_of(gpt2, slots=1000).generate([request])[0]
    seen = torch.bincount(torch.tensor([s.token_ids[0] for s in samples]), minlength=512).double()
    wanted = plain_logits(gpt2, list(request.prompt_ids)).double().softmax(-1) * len(samples)
    big = wanted >= 5
    seen = torch.cat([seen[big], seen[~big].sum()[None]])
    wanted = torch.cat([wanted[big], wanted[~big].sum()[None]])
    freedom = len(seen) - 1
    assert freedom > 10
    assert ((seen - wanted) ** 2 / wanted).sum() < freedom + 4 * (2 * freedom) ** 0.5


def test_log_probabilities_equal_score_and_a_plain_forward(model: Any, engine_of: Make) -> None:
    engine = engine_of(model, slots=5)
    requests = requests_of(LENGTHS, temperature=0.8, top_k=50, presence_penalty=1.0)
    samples = engine.generate(requests)
    items = [(r.prompt_ids, s.token_ids) for r, group in zip(requests, samples, strict=True) for s in group]
    written = [s for group in samples for s in group]
    for (prompt, completion), scores, sample in zip(items, engine.score(items), written, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
        plain = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None]).squeeze(1).tolist()
        assert sample.logprobs == pytest.approx(plain, abs=1e-5)
        assert scores == pytest.approx(plain, abs=1e-5)
    # Off by truncation or temperature, the mean would be far from 0; rounding alone leaves 1e-7.
    ratios = [
        a - b
        for s, scores in zip(written, engine.score(items), strict=True)
        for a, b in zip(s.logprobs, scores, strict=True)
    ]
    assert abs(sum(ratios) / len(ratios)) < 1e-6


def test_scores_keep_their_order_and_an_empty_completion_has_none(gpt2: Any, engine_of: Make) -> None:
    engine = engine_of(gpt2)
    items = [((5, 6), (7, 8, 9)), ((5,) * 60, ()), ((9,), (4,)), ((5, 6), (7,))]
    scores = engine.score(items)
    assert [len(s) for s in scores] == [3, 0, 1, 1]
    assert scores[0][0] == pytest.approx(scores[3][0], abs=1e-5)
    assert engine.score([]) == []


def test_eos_ends_a_completion_is_kept_in_its_ids_and_leaves_no_text(
    gpt2: Any, engine_of: Make, tokenizer: Any
) -> None:
    requests = requests_of(LENGTHS, logit_bias={EOS: 6.0}, max_tokens=40)
    samples = [s for group in engine_of(gpt2).generate(requests) for s in group]
    reasons = {s.finish_reason for s in samples}
    assert "stop" in reasons
    for sample in samples:
        ended = sample.token_ids[-1] == EOS
        assert sample.finish_reason == ("stop" if ended else "length")
        assert EOS not in sample.token_ids[:-1]
        assert ended or len(sample.token_ids) == 40
        assert len(sample.logprobs) == len(sample.token_ids)
        assert sample.text == decode(tokenizer, sample.token_ids)


def test_eos_can_be_ignored_or_kept_off_for_a_while(gpt2: Any, engine_of: Make) -> None:
    eager = {"logit_bias": {EOS: 30.0}, "max_tokens": 10}
    (ignored,), (late,), (at_once,) = engine_of(gpt2).generate(
        [
            *requests_of([5], n=1, ignore_eos=True, **eager),
            *requests_of([5], n=1, min_tokens=6, **eager),
            *requests_of([5], n=1, **eager),
        ]
    )
    assert (ignored.token_ids, ignored.finish_reason) == ((EOS,) * 10, "length")
    assert (len(late.token_ids), late.token_ids[-1], late.finish_reason) == (7, EOS, "stop")
    assert EOS not in late.token_ids[:-1]
    assert (at_once.token_ids, at_once.text, at_once.finish_reason) == ((EOS,), "", "stop")


def test_all_declared_ends_count_but_those_the_model_can_not_write(gpt2: Any, engine_of: Make) -> None:
    model = copy.deepcopy(gpt2)
    model.generation_config.eos_token_id = [EOS, 9, 50256]
    request = requests_of([5], n=1, logit_bias={9: 100.0}, min_tokens=1)[0]
    assert engine_of(model).generate([request])[0][0].token_ids[-1] == 9
    assert engine_of(model).generate([request])[0][0].finish_reason == "stop"


def test_stop_token_ids_end_a_completion_without_their_text(
    gpt2: Any, engine_of: Make, tokenizer: Any
) -> None:
    stop = encode_text(tokenizer, "b")[0]
    letters = {encode_text(tokenizer, letter)[0]: 100.0 for letter in "abc"}
    request = requests_of([5], n=5, logit_bias=letters, stop_token_ids=(stop,), max_tokens=50)[0]
    for stream in (True, False):
        for sample in run_to_the_end(engine_of(gpt2), [replace(request, stream=stream)])[0].values():
            assert sample.finish_reason == "stop"
            assert sample.token_ids.index(stop) == len(sample.token_ids) - 1
            assert sample.text == decode(tokenizer, sample.token_ids[:-1])
