"""Memory that runs out, forwards that fail, prompts that take several steps to read: nothing finished is ever lost."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.reading import READ_TOKENS
from inference.engine.requests import (
    EngineError,
    Event,
    FinishEvent,
    Sample,
    SampleRequest,
    TokenEvent,
)
from tests.inference.engine.support import Make, ids_of, requests_of


class SmallMemory(GPT2LMHeadModel):
    """A model on a device where `rows` sequences, or a prompt of `prompt` tokens, are all that fits."""

    rows, prompt, tight_after, forwards = 10_000, 10_000, 0, 0
    on_cuda = True

    def forward(self, input_ids: Any = None, position_ids: Any = None, **rest: Any) -> Any:  # type: ignore[override]
        self.forwards += 1
        full = input_ids.shape[0] > self.rows or input_ids.shape[1] > self.prompt
        if full and self.forwards > self.tight_after:
            if self.on_cuda:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            torch.empty(1 << 60)  # the CPU allocator's own error
        return super().forward(input_ids=input_ids, position_ids=position_ids, **rest)


def small(model: Any, **limits: Any) -> Any:
    made: Any = SmallMemory(model.config)
    made.load_state_dict(model.state_dict())
    for name, value in limits.items():
        setattr(made, name, value)
    return made.eval()


def run_on(engine: TorchEngine, names: list[str], *, errors: tuple[type[Exception], ...] = ()) -> list[Event]:
    """All events until the engine has nothing left to do; `errors` are what a step may raise."""
    events: list[Event] = []
    while engine.busy():
        try:
            events += engine.step()
        except errors:
            continue
    assert {event.request_id for event in events} <= set(names)
    return events


def finished(events: list[Event], names: list[str], n: int) -> list[list[Sample]]:
    """Samples by request; every candidate exactly once, the last one marked."""
    ends = [event for event in events if isinstance(event, FinishEvent)]
    assert sorted((e.request_id, e.sample.candidate) for e in ends) == sorted(
        (name, c) for name in names for c in range(n)
    )
    found = []
    for name in names:
        mine = [e for e in ends if e.request_id == name]
        assert [e.last for e in mine] == [False] * (n - 1) + [True]
        found.append([e.sample for e in sorted(mine, key=lambda e: e.sample.candidate)])
    return found


@pytest.mark.parametrize("cuda", [True, False], ids=["cuda", "cpu"])
def test_where_memory_runs_out_half_the_slots_say_the_same(gpt2: Any, engine_of: Make, *, cuda: bool) -> None:
    requests = requests_of([9, 30, 12, 9, 5], n=4, logit_bias={4: 3.0})
    wanted = ids_of(engine_of(gpt2).generate(requests))
    # From the 13th forward on only three rows fit: some candidates are finished by then, most are under way.
    engine = engine_of(small(gpt2, rows=3, tight_after=12, on_cuda=cuda), slots=16)
    names = [engine.submit(request) for request in requests]
    events = run_on(engine, names)
    early = [e for e in events[: len(events) // 2] if isinstance(e, FinishEvent)]
    assert early
    assert engine.slots == engine.stats().slots == 2
    assert ids_of(finished(events, names, 4)) == wanted
    # A stream that was begun goes on where it was: no token comes twice.
    for end in (e for e in events if isinstance(e, FinishEvent)):
        mine = [
            e
            for e in events
            if isinstance(e, TokenEvent)
            and (e.request_id, e.candidate) == (end.request_id, end.sample.candidate)
        ]
        assert tuple(e.token_id for e in mine) == end.sample.token_ids
        assert "".join(e.text for e in mine) == end.sample.text
    assert ids_of(engine.generate(requests)) == wanted


def test_what_does_not_fit_even_alone_fails_and_the_others_are_done(gpt2: Any, engine_of: Make) -> None:
    requests = requests_of([9, 30, 12], n=3)
    wanted = ids_of(engine_of(gpt2).generate(requests))
    engine = engine_of(small(gpt2, prompt=20), slots=4)
    with pytest.raises(EngineError, match="lower max_tokens") as caught:
        engine.generate(requests)
    assert [(event.code, event.candidate) for event in caught.value.errors] == [("out_of_memory", 0)]
    assert ids_of(caught.value.samples) == [wanted[0], [], wanted[2]]
    assert not engine.busy()


class Failing(SmallMemory):
    """One forward in seven fails by a bug of its own; `forwards` says which is the next."""

    def forward(self, input_ids: Any = None, position_ids: Any = None, **rest: Any) -> Any:  # type: ignore[override]
        if self.forwards % 7 == 6:
            self.forwards += 1
            raise ValueError("a bug in the model")
        return super().forward(input_ids=input_ids, position_ids=position_ids, **rest)


def failing(model: Any, forwards: int = 0) -> Any:
    made: Any = Failing(model.config)
    made.load_state_dict(model.state_dict())
    made.forwards = forwards
    return made.eval()


def test_what_a_step_finished_before_it_raised_comes_with_the_next(gpt2: Any, engine_of: Make) -> None:
    engine = engine_of(failing(gpt2, forwards=6))
    (request,) = requests_of([9], n=1)
    # Candidates without room are finished before the step's forward.
    name = engine.submit(replace(request, n=3, params=SamplingParams(max_tokens=0)))
    engine.submit(request)
    with pytest.raises(ValueError, match="a bug in the model"):
        engine.step()
    ends = [e for e in engine.step() if isinstance(e, FinishEvent) and e.request_id == name]
    assert [event.sample.candidate for event in ends] == [0, 1, 2]


def test_what_others_have_finished_during_generate_comes_with_the_next_step(
    gpt2: Any, engine_of: Make
) -> None:
    first, second = requests_of([9, 30], n=2, ignore_eos=True)
    first = replace(first, params=replace(first.params, max_tokens=3))
    wanted = ids_of(engine_of(gpt2).generate([first, second]))
    engine = engine_of(gpt2, slots=4)
    name = engine.submit(first)
    assert ids_of(engine.generate([second])) == wanted[1:]
    events = run_on(engine, [name])
    assert ids_of(finished(events, [name], 2)) == wanted[:1]
    assert sum(isinstance(event, TokenEvent) for event in events) == 6


def test_a_step_that_raises_loses_nothing(gpt2: Any, engine_of: Make) -> None:
    requests = requests_of([9, 30, 12, 5], n=3, max_tokens=5)
    # Candidates without room are finished before the step's forward, so the step that fails has something to lose.
    requests += [replace(request, params=SamplingParams(max_tokens=0)) for request in requests]
    wanted = ids_of(engine_of(gpt2).generate(requests))
    engine = engine_of(failing(gpt2), slots=4)
    found: list[dict[int, Sample]] = [{} for _ in requests]
    with pytest.raises(ValueError, match="a bug in the model"):
        engine.generate(requests, finished=found)
    assert all(wanted[i][c] == sample.token_ids for i, of in enumerate(found) for c, sample in of.items())
    counts = [len(of) for of in found]
    assert max(counts[:4]) == 3  # of those that have tokens
    assert max(counts[4:]) == 3
    assert not engine.busy()
    names = [engine.submit(request) for request in requests]
    assert ids_of(finished(run_on(engine, names, errors=(ValueError,)), names, 3)) == wanted


@pytest.fixture(scope="module")
def far_seeing() -> Any:
    """A context in which a prompt may take three reads."""
    torch.manual_seed(3)
    shape: dict[str, Any] = {"vocab_size": 512, "n_layer": 2, "n_embd": 32, "n_head": 2, "eos_token_id": 4}
    return GPT2LMHeadModel(
        GPT2Config(**shape, bos_token_id=None, n_positions=1400, initializer_range=0.25)
    ).eval()


def prompt_of(length: int) -> tuple[int, ...]:
    return tuple(5 + (i * i + 7 * i) % 500 for i in range(length))


def test_while_a_long_prompt_is_read_running_rows_get_a_token_a_step(
    far_seeing: Any, engine_of: Make
) -> None:
    widths: list[int] = []
    watch = far_seeing.register_forward_pre_hook(
        lambda _, __, given: widths.append(given["input_ids"].numel()), with_kwargs=True
    )
    try:
        engine = engine_of(far_seeing, slots=6)
        params = SamplingParams(max_tokens=12, ignore_eos=True)
        quick = engine.submit(SampleRequest(prompt_ids=prompt_of(5), params=params))
        engine.step()
        long = engine.submit(SampleRequest(prompt_ids=prompt_of(1200), n=2, params=params, key="long"))
        steps = [[event for event in engine.step() if isinstance(event, TokenEvent)] for _ in range(5)]
    finally:
        watch.remove()
    assert [[e.request_id for e in events] for events in steps] == [
        [quick],
        [quick],
        [quick, long, long],
        [quick, long, long],
        [quick, long, long],
    ]
    assert sorted(widths, reverse=True)[:4] == [READ_TOKENS, READ_TOKENS, 1200 - 2 * READ_TOKENS, 5]
    assert engine.stats().prefill_tokens == 1205


def test_a_prompt_read_in_pieces_goes_on_as_generate_does(far_seeing: Any, engine_of: Make) -> None:
    params = SamplingParams(max_tokens=8, temperature=0)
    lengths = [READ_TOKENS - 1, READ_TOKENS, READ_TOKENS + 1, 1200, 300, 290]
    requests = [SampleRequest(prompt_ids=prompt_of(length), params=params) for length in lengths]
    for request, (sample,) in zip(requests, engine_of(far_seeing, slots=4).generate(requests), strict=True):
        whole = far_seeing.generate(torch.tensor([request.prompt_ids]), do_sample=False, max_new_tokens=8)
        assert sample.token_ids == tuple(whole[0, len(request.prompt_ids) :].tolist())


def test_a_cancelled_prompt_is_not_read_to_its_end(far_seeing: Any, engine_of: Make) -> None:
    engine = engine_of(far_seeing)
    params = SamplingParams(max_tokens=50, ignore_eos=True)
    engine.submit(SampleRequest(prompt_ids=prompt_of(5), params=params))
    engine.step()
    engine.cancel(engine.submit(SampleRequest(prompt_ids=prompt_of(1000), params=params)))
    name = engine.submit(SampleRequest(prompt_ids=prompt_of(900), n=3, params=params))
    engine.step()
    assert engine.stats().prefill_tokens == 5 + READ_TOKENS
    engine.cancel(name)
    engine.step()
    assert (engine.stats().running, engine.stats().waiting) == (1, 0)
    assert engine.stats().prefill_tokens == 5 + READ_TOKENS


def test_a_prompt_is_read_once_though_its_candidates_wait_for_slots(gpt2: Any, engine_of: Make) -> None:
    # One request per candidate, as where each has its own length limit; three slots, so that groups never fit whole.
    requests = [
        replace(request, candidates=(c,), params=replace(request.params, max_tokens=3 + 4 * c))
        for request in requests_of([20, 31, 25], n=1, ignore_eos=True)
        for c in range(5)
    ]
    engine = engine_of(gpt2, slots=3)
    engine.generate(requests)
    assert (engine.stats().prefill_tokens, engine.stats().shared_tokens) == (76, 4 * 76)


def test_an_error_keeps_the_candidates_that_were_finished(gpt2: Any, engine_of: Make) -> None:
    sick = copy.deepcopy(gpt2)
    with torch.no_grad():
        sick.transformer.wpe.weight[15] = torch.nan
    engine = engine_of(sick, slots=4)
    (request,) = requests_of([10], n=8, logit_bias={4: 5.5}, max_tokens=9)
    early = 0
    for seed in range(4):
        # The first candidate to reach position 15 ends the request.
        engine.submit(replace(request, seed=seed, stream=False))
        events: list[Event] = []
        while engine.busy():
            events += engine.step()
        healthy = {
            s.candidate: s.token_ids for s in engine_of(gpt2).generate([replace(request, seed=seed)])[0]
        }
        ends = {e.sample.candidate: e.sample.token_ids for e in events if isinstance(e, FinishEvent)}
        assert all(len(ids) < 7 and healthy[c] == ids for c, ids in ends.items())
        early += len(ends)
        assert len(ends) < 8
    assert early
