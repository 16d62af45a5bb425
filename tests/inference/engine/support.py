"""Requests and plain forwards that the engine's tests share."""

from collections.abc import Callable
from typing import Any

import torch
from tokenizers import processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.requests import FinishEvent, Sample, SampleRequest

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


def run_to_the_end(engine: TorchEngine, requests: list[SampleRequest]) -> list[dict[int, Sample]]:
    places = {engine.submit(request): place for place, request in enumerate(requests)}
    found: list[dict[int, Sample]] = [{} for _ in requests]
    while engine.busy():
        for event in engine.step():
            if isinstance(event, FinishEvent):
                found[places[event.request_id]][event.sample.candidate] = event.sample
    return found


def chatml(tokenizer: Any) -> PreTrainedTokenizerFast:
    """Our tokenizer as another house would have it: its own markers and template, and a BOS that it writes by itself."""
    text = tokenizer.backend_tokenizer.to_str()
    for old, new in (("<|user|>", "<|im_start|>"), ("<|end|>", "<|im_end|>"), ("<|system|>", "<s>")):
        text = text.replace(old, new)
    backend = type(tokenizer.backend_tokenizer).from_str(text)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 3)])
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        extra_special_tokens=["<|im_start|>"],
    )
    made.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    return made
