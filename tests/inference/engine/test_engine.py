"""The engine: what it writes, that nothing but weights, prompt, settings and seed decides it, and how requests end."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from inference.engine.chat import decode, encode_text
from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.forward import context_length
from inference.engine.requests import EngineError, ErrorEvent, FinishEvent, Sample, SampleRequest, TokenEvent
from inference.engine.sampling import Uniforms

Make = Callable[..., TorchEngine]
EOS = 4
CONTEXT = 96  # as in conftest.py


def prompts_of(lengths: list[int], seed: int = 0) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randint(5, 512, (length,), generator=generator).tolist()) for length in lengths]


def requests_of(lengths: list[int], n: int = 3, **settings: Any) -> list[SampleRequest]:
    params = SamplingParams(**{"max_tokens": 24, **settings})
    return [
        SampleRequest(prompt_ids=prompt, n=n, params=params, seed=11, key=f"prompt {place}")
        for place, prompt in enumerate(prompts_of(lengths))
    ]


LENGTHS = [1, 33, 7, 8, 7, 40, 2, 64]


def ids_of(samples: list[list[Sample]]) -> list[list[tuple[int, ...]]]:
    return [[sample.token_ids for sample in group] for group in samples]


@torch.no_grad()
def plain_logits(model: Any, ids: list[int]) -> Tensor:
    """Next-token logits by one plain forward: no cache, no padding, no batch."""
    logits: Tensor = model(input_ids=torch.tensor([ids])).logits[0, -1]
    return logits


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


def test_a_sample_hangs_on_no_neighbour_slot_or_order(model: Any, engine_of: Make) -> None:
    requests = requests_of(LENGTHS, top_p=0.95, frequency_penalty=0.3, max_tokens=16)
    wanted = ids_of(engine_of(model, slots=8).generate(requests))
    assert len({ids for group in wanted for ids in group}) == 3 * len(LENGTHS)
    for slots, share in ((1, True), (3, True), (3, False), (8, False), (50, True)):
        assert ids_of(engine_of(model, slots=slots, share_prompts=share).generate(requests)) == wanted
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


def run_to_the_end(engine: TorchEngine, requests: list[SampleRequest]) -> list[dict[int, Sample]]:
    places = {engine.submit(request): place for place, request in enumerate(requests)}
    found: list[dict[int, Sample]] = [{} for _ in requests]
    while engine.busy():
        for event in engine.step():
            if isinstance(event, FinishEvent):
                found[places[event.request_id]][event.sample.candidate] = event.sample
    return found


def test_stop_strings_are_found_across_tokens(gpt2: Any, engine_of: Make, tokenizer: Any) -> None:
    letters = {encode_text(tokenizer, letter)[0]: 100.0 for letter in "abc"}
    free = requests_of([5, 6], n=6, logit_bias=letters, max_tokens=60)
    stopped = [replace(r, params=replace(r.params, stop=("bca", "cc"))) for r in free]
    hits = 0
    for before, after in zip(engine_of(gpt2).generate(free), engine_of(gpt2).generate(stopped), strict=True):
        for whole, cut in zip(before, after, strict=True):
            ends = [place for stop in ("bca", "cc") if (place := whole.text.find(stop)) >= 0]
            assert cut.text == (whole.text[: min(ends)] if ends else whole.text)
            assert cut.finish_reason == ("stop" if ends else "length")
            assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
            hits += bool(ends)
    assert hits > 6


def test_streamed_pieces_make_up_the_final_text(gpt2: Any, engine_of: Make) -> None:
    engine = engine_of(gpt2, slots=4)
    requests = requests_of([5, 20], n=3, stop=("e", "a b"), logit_bias={EOS: 3.0})
    names = [engine.submit(request) for request in requests]
    events = [event for _ in range(200) for event in engine.step()]
    assert not engine.busy()
    finished = [e for e in events if isinstance(e, FinishEvent)]
    assert len(finished) == 6
    for name in names:
        assert [e.last for e in finished if e.request_id == name] == [False, False, True]
    for end in finished:
        tokens = [
            e
            for e in events
            if isinstance(e, TokenEvent)
            and (e.request_id, e.candidate) == (end.request_id, end.sample.candidate)
        ]
        assert tuple(e.token_id for e in tokens) == end.sample.token_ids
        assert tuple(e.logprob for e in tokens) == end.sample.logprobs
        assert "".join(e.text for e in tokens) == end.sample.text


def test_cancelling_frees_the_slots_and_disturbs_nobody(gpt2: Any, engine_of: Make) -> None:
    requests = requests_of([9, 30, 12], n=3, ignore_eos=True)
    wanted = ids_of(engine_of(gpt2).generate(requests))
    engine = engine_of(gpt2, slots=6)
    names = [engine.submit(request) for request in requests]
    for _ in range(4):
        engine.step()
    assert (engine.stats().running, engine.stats().waiting) == (6, 3)
    engine.cancel(names[0])
    engine.cancel(names[0])
    engine.cancel("nobody")
    events = engine.step()
    assert names[0] not in {event.request_id for event in events}
    assert (engine.stats().running, engine.stats().waiting) == (6, 0)
    late = [engine.submit(requests[0]), engine.submit(requests[0])]
    engine.cancel(late[0])  # while it still waits
    ends = [e for _ in range(80) for e in engine.step() if isinstance(e, FinishEvent)]
    assert {e.request_id for e in ends} == {names[1], names[2], late[1]}
    for place, name in ((1, names[1]), (2, names[2]), (0, late[1])):
        got = {e.sample.candidate: e.sample.token_ids for e in ends if e.request_id == name}
        assert [got[c] for c in range(3)] == wanted[place]
    assert (engine.stats().running, engine.stats().waiting, engine.busy()) == (0, 0, False)


def test_many_abandoned_requests_leak_no_slot(gpt2: Any, engine_of: Make) -> None:
    engine = engine_of(gpt2, slots=4)
    for request in requests_of([3 + i % 9 for i in range(60)], n=2):
        name = engine.submit(request)
        engine.step()
        engine.cancel(name)
    engine.step()
    assert (engine.stats().running, engine.stats().waiting, engine.busy()) == (0, 0, False)


def test_a_completion_ends_where_the_context_ends(model: Any, engine_of: Make) -> None:
    engine = engine_of(model)
    full, fits, one = engine.generate(
        requests_of([CONTEXT - 1, CONTEXT - 7, 1], n=2, max_tokens=500, ignore_eos=True)
    )
    assert [len(s.token_ids) for s in full + fits + one] == [1, 1, 7, 7, CONTEXT - 1, CONTEXT - 1]
    assert {s.finish_reason for s in full + fits + one} == {"length"}
    prompt, sample = prompts_of([CONTEXT - 1, CONTEXT - 7, 1])[2], one[0]
    assert engine.score([(prompt, sample.token_ids)])[0] == pytest.approx(list(sample.logprobs), abs=1e-5)


def test_what_can_not_be_sampled_is_refused_by_name(gpt2: Any, engine_of: Make) -> None:
    engine = engine_of(gpt2)
    good = requests_of([5])[0]
    for bad, message in (
        (replace(good, prompt_ids=(5,) * CONTEXT), "prompt_ids has 96 tokens"),
        (replace(good, prompt_ids=()), "prompt_ids is empty"),
        (replace(good, prompt_ids=(5, 512)), "prompt_ids"),
        (replace(good, n=0), "candidates"),
        (replace(good, candidates=(1, 1)), "candidates"),
        (replace(good, params=SamplingParams(max_tokens=3, stop_token_ids=(999,))), "stop_token_ids"),
        (replace(good, params=SamplingParams(max_tokens=3, logit_bias={999: 1.0})), "logit_bias"),
    ):
        for call in (engine.submit, lambda request: engine.generate([good, request])):
            with pytest.raises(ValueError, match=message):
                call(bad)
    assert not engine.busy()
    for item, message in (
        (((5,) * 90, (5,) * 7), "97 tokens"),
        (((), (5,)), "prompt is empty"),
        (((5,), (-1,)), "id"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.score([item])


def test_no_room_asked_for_gives_empty_samples(gpt2: Any, engine_of: Make) -> None:
    empty, full = engine_of(gpt2).generate([*requests_of([5], n=2, max_tokens=0), *requests_of([6], n=1)])
    assert [(s.candidate, s.token_ids, s.text, s.finish_reason) for s in empty] == [
        (c, (), "", "length") for c in (0, 1)
    ]
    assert full[0].token_ids


def poisoned(model: Any, token: int) -> Any:
    """The same weights, but whoever reads `token` gets NaN."""
    sick = copy.deepcopy(model)
    if sick.config.tie_word_embeddings:
        sick.set_output_embeddings(copy.deepcopy(sick.get_output_embeddings()))
    with torch.no_grad():
        sick.get_input_embeddings().weight[token] = torch.nan
    return sick


def test_invalid_logits_end_one_request_and_no_other(model: Any, engine_of: Make) -> None:
    sick = poisoned(model, 500)
    safe = {"logit_bias": {500: -100.0}}
    requests = requests_of([20, 21, 20, 22, 9], n=3, max_tokens=12, **safe)
    wanted = ids_of(engine_of(model, slots=4).generate(requests))
    requests[1] = replace(
        requests[1], prompt_ids=(*requests[1].prompt_ids[:-3], 500, 7, 8)
    )  # NaN from the start
    requests[3] = replace(  # NaN from the second token on
        requests[3], params=SamplingParams(max_tokens=12, logit_bias={500: 100.0})
    )
    engine = engine_of(sick, slots=4)
    with pytest.raises(EngineError, match="load it in float32") as caught:
        engine.generate(requests)
    assert [event.code for event in caught.value.errors] == ["invalid_logits"] * 2
    samples = ids_of(caught.value.samples)
    assert [samples[place] for place in (0, 2, 4)] == [wanted[place] for place in (0, 2, 4)]
    assert samples[1] == samples[3] == []
    assert not engine.busy()
    # The slots that held NaN serve again.
    healthy = [requests[0], requests[2], requests[4]]
    assert ids_of(engine.generate(healthy)) == [wanted[place] for place in (0, 2, 4)]


def test_an_error_event_names_the_request(gpt2: Any, engine_of: Make) -> None:
    engine = engine_of(poisoned(gpt2, 500))
    name = engine.submit(SampleRequest(prompt_ids=(5, 500), n=3, params=SamplingParams(max_tokens=4)))
    events = engine.step()
    assert [(type(e), e.request_id) for e in events] == [(ErrorEvent, name)]
    assert not engine.busy()
    assert engine.stats().running == 0


def test_weights_may_change_between_calls_and_the_mode_is_put_back(gpt2: Any, engine_of: Make) -> None:
    model = copy.deepcopy(gpt2)
    model.train()
    model.transformer.h[0].eval()
    model.transformer.drop.p = 0.5
    modes = [module.training for module in model.modules()]
    engine = engine_of(model, slots=4)
    requests = requests_of([9, 9, 30], n=2)
    assert ids_of(engine.generate(requests)) == ids_of(engine_of(gpt2).generate(requests))
    assert [module.training for module in model.modules()] == modes
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]])).loss.backward()
    optimizer.step()
    changed = ids_of(engine.generate(requests))
    assert changed == ids_of(engine_of(copy.deepcopy(model)).generate(requests))
    assert changed != ids_of(engine_of(gpt2).generate(requests))


def test_a_prompt_is_read_once_for_all_its_candidates(gpt2: Any, engine_of: Make) -> None:
    requests = requests_of([20, 30], n=6)
    shared, single = engine_of(gpt2, slots=4), engine_of(gpt2, slots=4, share_prompts=False)
    assert ids_of(shared.generate(requests)) == ids_of(single.generate(requests))
    assert (shared.stats().prefill_tokens, shared.stats().shared_tokens) == (50, 250)
    assert (single.stats().prefill_tokens, single.stats().shared_tokens) == (300, 0)
    assert shared.stats().sampled_tokens == single.stats().sampled_tokens > 0
    assert shared.stats().kv_bytes > 0


def test_the_context_ends_at_a_sliding_window_and_unfit_models_are_refused(models: dict[str, Any]) -> None:
    model = copy.deepcopy(models["llama"])
    assert context_length(model) == CONTEXT
    model.config.sliding_window = 40
    assert context_length(model) == 40
    model.config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ValueError, match="linear_attention"):
        context_length(model)
