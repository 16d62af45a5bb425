"""What the stages share around models: loading inputs, fixed sample prompts, publishing in the wanted number format."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.chat import Message, render_prompt
from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.forward import longest_row
from inference.engine.models import (
    ScalarModel,
    load_policy,
    load_scalar,
    save_policy,
    save_scalar,
)
from inference.engine.requests import EngineError, Sample, SampleRequest
from training.core.adapters import add_adapters, merged_copy
from training.core.config import StageConfig
from training.core.data import Prompt
from training.core.errors import RunError
from training.core.language import token_logprobs_of
from training.core.loop import evaluating, stream_seed
from training.core.meter import meter
from training.core.parallel import world
from training.core.report import Reporter
from training.core.run_folder import Run

__all__ = ["SAMPLED_PROMPTS", "SampleBook", "check_same_tokenizer", "checkpoint_activations", "context_of", "fit_into_memory", "generate",
           "load_policy_input", "load_scalar_input", "new_scalar_input", "policy_saver", "scalar_saver",
           "token_logprobs_of", "vocabulary_of"]  # fmt: skip

SAMPLED_PROMPTS = 4
FEWEST_SLOTS, MOST_SLOTS, SLOT_TOKENS = 32, 256, 4096
"""Rows that the engine decodes at once: more where they are short, for a step costs nearly the same."""
DIALOGUES: tuple[list[Message], ...] = tuple(
    [{"role": role, "content": "Hello there."} for role in roles]
    for roles in (["user"], ["user", "assistant", "user"], ["system", "user"])
)
"""Rendered to tell whether two chat templates are one."""
M = TypeVar("M", bound=nn.Module)


def load_policy_input(
    run: Run, name: str, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model of inputs/, in float32. RunError `bad_model` where the folder is no such thing."""
    return cast(
        tuple[PreTrainedModel, PreTrainedTokenizerBase],
        _loading(name, lambda: load_policy(run.input(name), device=device)),
    )


def load_scalar_input(
    run: Run, name: str, device: torch.device
) -> tuple[ScalarModel, PreTrainedTokenizerBase]:
    """A reward model of inputs/, in float32, with its shift."""
    return cast(
        tuple[ScalarModel, PreTrainedTokenizerBase],
        _loading(name, lambda: load_scalar(run.input(name), device=device)),
    )


def new_scalar_input(run: Run, name: str, device: torch.device) -> ScalarModel:
    """The trunk of a policy of inputs/ under a fresh head that hangs on the run's seed."""
    make = lambda: ScalarModel.from_policy(run.input(name), seed=stream_seed(run.seed, "head"))  # noqa: E731
    return cast(ScalarModel, _loading(name, make)).to(device)


def fit_into_memory(run: Run, *models: nn.Module) -> None:
    """What learns of the models, and what they keep of a forward pass, as `lora_rank` and `gradient_checkpointing` say."""
    add_adapters(run, *models)
    checkpoint_activations(cast(StageConfig, run.config), *models)


def checkpoint_activations(cfg: StageConfig, *models: nn.Module) -> None:
    """With `gradient_checkpointing`: blocks keep their inputs alone and run again in the backward pass, dropout repeated.

    It works in train mode only, so the models are put into it: whoever wants no dropout has switched it off by then.
    """
    if not cfg.gradient_checkpointing:
        return
    for model in models:
        trunk: Any = model.backbone if isinstance(model, ScalarModel) else model
        if not trunk.supports_gradient_checkpointing:
            raise RunError(
                "no_checkpointing",
                f"{type(trunk).__name__} cannot compute its activations again.",
                "Set gradient_checkpointing to false.",
            )
        trunk.activation_checkpointing_enable({"use_reentrant": False})
        model.train()


def _loading(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (ValueError, OSError) as wrong:
        if isinstance(wrong, OSError) and wrong.errno is not None:
            raise  # The disk's fault, not the folder's.
        raise RunError(
            "bad_model",
            f"inputs.{name} cannot be loaded: {wrong}",
            "Give a model folder as save_pretrained writes it.",
        ) from wrong


def check_same_tokenizer(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase, names: str) -> None:
    """The second model reads what the first one wrote: both must mean the same by an id, and have learned from the same ids.

    Templates may differ in their wording, or in what no stage uses, such as tools: what they render is compared.
    """
    if one.get_vocab() != other.get_vocab():
        differ = "vocabularies"
    elif _merges(one) != _merges(other):
        differ = "merges"
    elif any(_rendered(one, dialogue) != _rendered(other, dialogue) for dialogue in DIALOGUES):
        differ = "chat templates"
    else:
        return
    raise RunError(
        "tokenizer_mismatch",
        f"{names} have different tokenizers: their {differ} differ.",
        "Choose models of one family.",
    )


def _merges(tokenizer: PreTrainedTokenizerBase) -> Any:
    """What BPE joins, in order; None of any other kind."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else json.loads(backend.to_str())["model"].get("merges")


def _rendered(tokenizer: PreTrainedTokenizerBase, dialogue: Sequence[Message]) -> list[int] | None:
    """None where the template refuses it: some have no place for a system message."""
    try:
        return render_prompt(tokenizer, dialogue)
    except ValueError:
        return None


def context_of(model: Any) -> int:
    """Longest sequence that the model can read and the engine write; models without a limit have a very large one."""
    return longest_row(model.config) or 1_000_000


def vocabulary_of(model: PreTrainedModel) -> int:
    return int(cast(nn.Embedding, model.get_input_embeddings()).weight.shape[0])


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, requests: Sequence[SampleRequest]
) -> list[list[Sample]]:
    """Samples from the engine of this rank. RunError `nan_loss` where the weights have become NaN, `out_of_memory` where a row finds no room."""
    engine, began = TorchEngine(model, tokenizer, slots=_slots(requests)), time.perf_counter()
    try:
        samples = engine.generate(requests)
    except EngineError as wrong:
        if wrong.errors[0].code == "out_of_memory":
            raise RunError(
                "out_of_memory",
                f"sampling failed: {wrong}",
                "Ask for shorter answers, or use a smaller model.",
            ) from wrong
        raise RunError(
            "nan_loss",
            f"sampling failed: {wrong}",
            "Lower the learning rate, or resume from an earlier checkpoint.",
        ) from wrong
    answers = [
        (len(one.prompt_ids), len(sample.token_ids))
        for one, of_one in zip(requests, samples, strict=True)
        for sample in of_one
    ]
    meter.decoded(model, engine.stats().steps, answers, time.perf_counter() - began)
    return samples


def _slots(requests: Sequence[SampleRequest]) -> int:
    longest = max((len(one.prompt_ids) + one.params.max_tokens for one in requests), default=SLOT_TOKENS)
    return max(FEWEST_SLOTS, min(MOST_SLOTS, SLOT_TOKENS // longest))


class SampleBook:
    """The answers to a few fixed prompts, drawn with the same seeds each time, so that only the model changes."""

    def __init__(
        self, run: Run, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], context: int
    ) -> None:
        tokens = cast(StageConfig, run.config).sample_tokens
        fitting = [p for p in prompts if len(p.ids) + 1 <= context][:SAMPLED_PROMPTS]
        self.prompts = fitting
        self.tokenizer = tokenizer
        self.seed = stream_seed(run.seed, "samples")
        self.params = SamplingParams(max_tokens=tokens)

    def write(self, report: Reporter, step: int, model: PreTrainedModel) -> None:
        if not self.prompts or not world.is_first:
            return
        with meter.phase("eval"), evaluating(model):
            requests = [
                SampleRequest(prompt_ids=tuple(p.ids), n=1, params=self.params, seed=self.seed, key=p.id)
                for p in self.prompts
            ]
            answers = generate(model, self.tokenizer, requests)
        for prompt, (answer,) in zip(self.prompts, answers, strict=True):
            report.sample(
                step, [{"role": m["role"], "content": m["content"]} for m in prompt.messages], answer.text
            )


def policy_saver(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cfg: StageConfig
) -> Callable[[Path], None]:
    return lambda folder: save_policy(_to_publish(model, cfg), tokenizer, folder)


def scalar_saver(
    model: ScalarModel, tokenizer: PreTrainedTokenizerBase, cfg: StageConfig
) -> Callable[[Path], None]:
    return lambda folder: save_scalar(_to_publish(model, cfg), tokenizer, folder)


def _to_publish(model: M, cfg: StageConfig) -> M:
    """A whole model in `save_dtype`. The one that trains stays as it is: a copy where it has another format, or adapters."""
    whole = merged_copy(model)
    if cfg.save_dtype == "float32":
        return model if whole is None else whole
    return (copy.deepcopy(model) if whole is None else whole).to(getattr(torch, cfg.save_dtype))
