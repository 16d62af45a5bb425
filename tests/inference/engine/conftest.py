"""Random small models of both shapes the engine promises, and tokenizers of all kinds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from inference.engine.engine import TorchEngine
from inference.engine.models import random_policy
from inference.engine.tokenizer import train_tokenizer
from tests.inference.engine.support import chatml

quiet: Any = logging
quiet.disable_progress_bar()

CONTEXT = 96


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The models are so small that a second thread only gets in the way of other tests."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy's folder; read it only."""
    folder = tmp_path_factory.mktemp("policy")
    random_policy(folder)
    return folder


@pytest.fixture
def tokenizer(policy_folder: Path) -> Any:
    """The tokenizer of that folder, fresh for each test."""
    return AutoTokenizer.from_pretrained(policy_folder, local_files_only=True)


@pytest.fixture(scope="session")
def models() -> dict[str, Any]:
    """Weights far from zero, so that distributions are peaked and a wrong position or mask shows."""
    torch.manual_seed(7)
    gpt2 = GPT2Config(
        vocab_size=512,
        n_layer=2,
        n_embd=32,
        n_head=2,
        n_positions=CONTEXT,
        initializer_range=0.25,
        bos_token_id=None,
        eos_token_id=4,
        pad_token_id=0,
    )
    llama = LlamaConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.25,
        bos_token_id=None,
        eos_token_id=4,
        pad_token_id=0,
    )
    made: dict[str, Any] = {"gpt2": GPT2LMHeadModel(gpt2), "llama": LlamaForCausalLM(llama)}
    return {name: model.eval() for name, model in made.items()}


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest, models: dict[str, Any]) -> Any:
    """GPT-2, then Llama with grouped queries; read it only."""
    return models[request.param]


@pytest.fixture
def gpt2(models: dict[str, Any]) -> Any:
    """GPT-2 alone, where the shape does not matter."""
    return models["gpt2"]


@pytest.fixture
def engine_of(tokenizer: Any) -> Callable[..., TorchEngine]:
    """An engine on a model, with our tokenizer."""

    def make(model: Any, **settings: Any) -> TorchEngine:
        return TorchEngine(model, tokenizer, **settings)

    return make


@pytest.fixture(scope="session")
def larger_tokenizer() -> PreTrainedTokenizerFast:
    """Another one, with more tokens than the models have rows."""
    return train_tokenizer((f"some zebra {n} of {n * n}" for n in range(2000)), 600)


@pytest.fixture
def base_tokenizer(tokenizer: Any) -> PreTrainedTokenizerFast:
    """As a base model brings it: EOS, which is PAD as well, and no chat template or markers of ours."""
    backend = type(tokenizer.backend_tokenizer).from_str(
        tokenizer.backend_tokenizer.to_str().replace("<|", "<!")
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<!end|>", pad_token="<!end|>")  # type: ignore[no-untyped-call]


@pytest.fixture
def chatml_tokenizer(tokenizer: Any) -> PreTrainedTokenizerFast:
    """Another house's chat tokenizer."""
    return chatml(tokenizer)
