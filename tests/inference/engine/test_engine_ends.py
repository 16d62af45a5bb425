"""How completions end, are cancelled, refused or fail; what outlives a call."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from tokenizers import pre_tokenizers

from inference.engine.config import SamplingParams
from inference.engine.forward import context_length
from inference.engine.requests import EngineError, ErrorEvent, FinishEvent, SampleRequest, TokenEvent
from tests.inference.engine.support import (
    CONTEXT,
    EOS,
    Make,
    ids_of,
    prompts_of,
    requests_of,
)


@pytest.mark.parametrize(
    ("text", "stops"),
    [("abc", ("bca", "cc")), ("bé", ("éb", "éé")), ("你b", ("b你", "你你"))],
    ids=["letters", "two bytes", "three bytes"],
)
def test_stop_strings_are_found_across_tokens(
    gpt2: Any, engine_of: Make, tokenizer: Any, text: str, stops: tuple[str, ...]
) -> None:
    # A token for each byte, drawn at random: characters are split over tokens, and many are broken.
    letters = {tokenizer.convert_tokens_to_ids(byte): 100.0 for byte in bytes_of(text)}
    free = requests_of([5, 6], n=24, logit_bias=letters, temperature=2.0, max_tokens=60)
    stopped = [replace(r, params=replace(r.params, stop=stops)) for r in free]
    hits = 0
    for before, after in zip(engine_of(gpt2).generate(free), engine_of(gpt2).generate(stopped), strict=True):
        for whole, cut in zip(before, after, strict=True):
            ends = [place for stop in stops if (place := whole.text.find(stop)) >= 0]
            assert cut.text == (whole.text[: min(ends)] if ends else whole.text)
            assert cut.finish_reason == ("stop" if ends else "length")
            assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
            hits += bool(ends)
    assert hits > 3


def bytes_of(text: str) -> list[str]:
    """The tokens of single bytes, as byte-level tokenizers write them."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return sorted({byte for piece, _ in level.pre_tokenize_str(text) for byte in piece})


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
    for request in requests_of([3 + i % 9 for i in range(1000)], n=2):
        name = engine.submit(request)
        assert any(event.request_id == name for event in engine.step())
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


def test_weights_may_change_after_a_request_was_dropped_while_candidates_waited(
    gpt2: Any, engine_of: Make
) -> None:
    """Its prompt stood read at the queue's head: the next request with that prompt has to read it anew."""
    model, broken = copy.deepcopy(gpt2), copy.deepcopy(gpt2)
    requests = requests_of([30], n=3)
    engine = engine_of(model, slots=2)
    name = engine.submit(requests_of([30], n=4)[0])
    engine.step()
    engine.cancel(name)
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(-1)
        broken.transformer.wpe.weight.fill_(torch.nan)
    assert ids_of(engine.generate(requests)) == ids_of(engine_of(copy.deepcopy(model)).generate(requests))
    engine = engine_of(broken, slots=2)
    with pytest.raises(EngineError, match="not numbers"):
        engine.generate(requests)
    broken.load_state_dict(gpt2.state_dict())
    assert ids_of(engine.generate(requests)) == ids_of(engine_of(gpt2).generate(requests))


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
