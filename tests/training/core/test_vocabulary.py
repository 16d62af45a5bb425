"""Token log-probabilities without whole logits: the same numbers, the same gradients, the same bits, and little memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from tests.training.core import oracles
from training.core import language
from training.core.losses import (
    Head,
    head_nll_sum,
    head_token_logprobs,
    token_entropy,
    token_logprobs,
    vocabulary,
)
from training.core.stage import token_logprobs_of

SHAPE: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.3, "pad_token_id": 0, "bos_token_id": None,
    "eos_token_id": 4,
}  # fmt: skip
GPT2 = GPT2Config(vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3, resid_pdrop=0.0,
                  embd_pdrop=0.0, attn_pdrop=0.0, pad_token_id=0, bos_token_id=None, eos_token_id=4)  # fmt: skip


def make(cls: Any, config: Any) -> Any:
    torch.manual_seed(0)
    return cls(config).eval()


MODELS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: make(GPT2LMHeadModel, GPT2),
    "llama": lambda: make(LlamaForCausalLM, LlamaConfig(**SHAPE)),
    "soft cap": lambda: make(
        Gemma2ForCausalLM, Gemma2Config(**SHAPE, head_dim=4, final_logit_softcapping=1.5)
    ),
    "scaled": lambda: make(CohereForCausalLM, CohereConfig(**SHAPE, logit_scale=0.25)),
    "divided": lambda: make(GraniteForCausalLM, GraniteConfig(**SHAPE, logits_scaling=4.0)),
}


def ragged(side: str = "right") -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and what is wanted of five rows: every second token of their later halves; the padding id occurs in them."""
    lengths, width = (3, 9, 17, 17, 6), 17
    ids, mask, wanted = (torch.zeros(5, width, dtype=torch.long) for _ in range(3))
    drawn = torch.randint(0, 300, (5, width), generator=torch.Generator().manual_seed(1))
    for b, n in enumerate(lengths):
        begin = 0 if side == "right" else width - n
        ids[b, begin : begin + n] = drawn[b, :n]
        mask[b, begin : begin + n] = 1
        wanted[b, begin + n // 2 + 1 : begin + n : 2] = 1
    return ids, mask, wanted


def whole(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Logits as the model itself makes them, all at once."""
    logits: Tensor = model(
        input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0), use_cache=False
    ).logits
    return logits[:, :-1]


def gradients(model: Any, loss: Tensor) -> list[Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.fixture(autouse=True, params=["kept", "again"])
def _small_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven positions a chunk, so that a handful of rows takes several, the last one ragged."""
    monkeypatch.setattr(vocabulary, "CHUNK_LOGITS", 7 * 300)
    monkeypatch.setattr(vocabulary, "MIN_CHUNK", 1)
    if request.param == "again":
        monkeypatch.setattr(vocabulary, "KEPT_LOGITS", 0)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_are_those_of_whole_logits(name: str, side: str) -> None:
    model = MODELS[name]()
    ids, mask, wanted = ragged(side)
    weights = torch.randn(ids.shape, generator=torch.Generator().manual_seed(2))
    assert language.head_of(model) is not None  # The lean path is the one that is tested.

    logp, entropy = token_logprobs_of(model, ids, mask, wanted, with_entropy=True)
    assert entropy is not None
    found = gradients(model, (weights * (logp + 0.5 * entropy)).sum())
    logits = whole(model, ids, mask)
    on = wanted[:, 1:].bool()
    full_logp, full_entropy = (
        torch.where(on, x, 0.0) for x in (token_logprobs(logits, ids[:, 1:]), token_entropy(logits))
    )
    expected = gradients(model, (weights[:, 1:] * (full_logp + 0.5 * full_entropy)).sum())

    assert float((logp[:, 1:] - full_logp).detach().abs().max()) <= 1e-6
    assert float((entropy[:, 1:] - full_entropy).detach().abs().max()) <= 1e-6
    assert not logp[:, 0].any()
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-6 * max(1.0, float(other.abs().max()))


def test_the_same_batch_gives_the_same_bits_with_and_without_a_gradient() -> None:
    """What PPO's first ratio of exactly 1 stands on."""
    model = MODELS["llama"]()
    batch = ragged()
    with torch.no_grad():
        old, spread = token_logprobs_of(model, *batch, with_entropy=True)
    new, _ = token_logprobs_of(model.train(), *batch)
    assert torch.equal(old, new)
    assert spread is not None
    assert torch.equal(spread, token_logprobs_of(model, *batch, with_entropy=True)[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["plain", "bias", "scale", "cap", "all"])
def test_the_formulas_in_float64(head: str) -> None:
    """Values against numpy, gradients against finite differences."""
    generator = torch.Generator().manual_seed(3)
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((9, 4), (300, 4), (300,))
    )
    tokens = torch.randint(0, 300, (9,), generator=generator)
    scale, cap = 0.5 if head in ("scale", "all") else 1.0, 2.0 if head in ("cap", "all") else None
    with_bias = head in ("bias", "all")

    def made(h: Tensor, w: Tensor, b: Tensor) -> Head:
        return Head(w, b if with_bias else None, scale, cap)

    logits = hidden.detach().numpy() @ weight.detach().numpy().T + (bias.detach().numpy() if with_bias else 0)
    logits = logits * scale
    logits = logits if cap is None else cap * np.tanh(logits / cap)
    logp = oracles.log_softmax(logits)
    found, entropy = head_token_logprobs(hidden, tokens, made(hidden, weight, bias), with_entropy=True)
    assert entropy is not None
    np.testing.assert_allclose(found.detach(), logp[np.arange(9), tokens.numpy()], atol=1e-12)
    np.testing.assert_allclose(entropy.detach(), -(np.exp(logp) * logp).sum(-1), atol=1e-12)
    total = head_nll_sum(hidden, tokens, made(hidden, weight, bias))
    assert float(total.detach()) == pytest.approx(
        oracles.nll(logits[None], tokens.numpy()[None], np.ones((1, 9)))
    )

    few = (
        hidden[:3].detach().requires_grad_(),
        weight[:8].detach().requires_grad_(),
        bias[:8].detach().requires_grad_(),
    )
    functions: tuple[Any, ...] = (
        lambda h, w, b: head_token_logprobs(h, tokens[:3] % 8, made(h, w, b), with_entropy=True),
        lambda h, w, b: head_token_logprobs(h, tokens[:3] % 8, made(h, w, b))[0],
        lambda h, w, b: 3.0 * head_nll_sum(h, tokens[:3] % 8, made(h, w, b)),
    )
    for function in functions:
        assert torch.autograd.gradcheck(function, few, atol=1e-7)  # type: ignore[no-untyped-call]


def test_a_head_that_is_more_than_one_layer_is_left_to_the_model() -> None:
    model = MODELS["llama"]()
    model.lm_head = torch.nn.Sequential(torch.nn.Linear(16, 300), torch.nn.Tanh())
    ids, mask, wanted = ragged()
    assert language.head_of(model) is None
    logp, entropy = token_logprobs_of(model, ids, mask, wanted, with_entropy=True)
    logits = whole(model, ids, mask)
    on = wanted[:, 1:].bool()
    torch.testing.assert_close(logp[:, 1:], torch.where(on, token_logprobs(logits, ids[:, 1:]), 0.0))
    assert entropy is not None
    torch.testing.assert_close(entropy[:, 1:], torch.where(on, token_entropy(logits), 0.0))


def test_a_model_that_bends_its_logits_itself_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["llama"]()
    plain = type(model).forward

    def bent(self: Any, **inputs: Any) -> Any:
        out = plain(self, **inputs)
        out.logits = 2 * out.logits
        return out

    monkeypatch.setattr(type(model), "forward", bent)
    assert language.head_of(model) is None


def test_losses_are_in_float32_under_autocast() -> None:
    """Products of whole numbers and eighths are exact in any order, so both round to the same bfloat16 logits."""
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randint(-8, 9, (40, 16), generator=generator).float().requires_grad_()
    weight = (torch.randint(-8, 9, (300, 16), generator=generator) / 8).requires_grad_()
    tokens = torch.randint(0, 300, (40,), generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, entropy = head_token_logprobs(hidden, tokens, Head(weight), with_entropy=True)
        total = head_nll_sum(hidden, tokens, Head(weight))
        logits = hidden @ weight.T
    assert entropy is not None
    assert logits.dtype == torch.bfloat16
    logp = oracles.log_softmax(logits.detach().double().numpy())
    expected = logp[np.arange(40), tokens.numpy()]
    np.testing.assert_allclose(found.detach(), expected, atol=1e-5)
    np.testing.assert_allclose(entropy.detach(), -(np.exp(logp) * logp).sum(-1), atol=1e-5)
    assert float(total.detach()) == pytest.approx(-expected.sum(), abs=1e-3)
    torch.autograd.backward(found.sum() + total)
    assert {x.dtype for x in (found, entropy, total, hidden.grad, weight.grad) if x is not None} == {
        torch.float32
    }


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_log_probabilities_under_autocast_are_off_by_nothing_on_average(name: str) -> None:
    """Training notes, row 8: at most 1e-3 nats."""
    model = MODELS[name]()
    ids = torch.randint(0, 300, (64, 64), generator=torch.Generator().manual_seed(1))
    wanted = torch.ones_like(ids)
    wanted[:, 0] = 0
    with torch.no_grad():
        exact, _ = token_logprobs_of(model, ids, torch.ones_like(ids), wanted)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logp, _ = token_logprobs_of(model, ids, torch.ones_like(ids), wanted)
    off = (logp - exact)[:, 1:]
    assert abs(float(off.mean())) <= 1e-3
    assert float(off.abs().max()) > 1e-3  # it really is bfloat16


class Largest(TorchDispatchMode):
    """The most numbers that any tensor made under it has."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, Tensor):
                self.numbers = max(self.numbers, one.numel())
        return made


@pytest.mark.usefixtures("_real_chunks")
def test_no_tensor_of_a_batchs_logits_is_ever_made() -> None:
    """At a vocabulary of 32 thousand the largest tensor is a chunk's logits or the head itself, forward and backward."""
    vocab, width = 32_768, 8
    shape = GPT2Config(vocab_size=vocab, n_embd=width, n_layer=1, n_head=1, n_positions=256, pad_token_id=0)
    model = make(GPT2LMHeadModel, shape)
    ids = torch.randint(0, vocab, (8, 256), generator=torch.Generator().manual_seed(4))
    mask = torch.ones_like(ids)
    wanted = mask.clone()
    wanted[:, 0] = 0
    batch = language.padded(ids, mask)
    assert language.head_of(model) is not None
    for loss in (
        lambda: token_logprobs_of(model, ids, mask, wanted)[0].sum(),
        lambda: language.nll_at(model, batch, language.places_before(wanted.bool()), ids[:, 1:].flatten()),
    ):
        with Largest() as seen:
            loss().backward()
        assert seen.numbers == max(vocabulary.chunk_positions(vocab) * vocab, vocab * width)
        assert seen.numbers * 10 < 8 * 256 * vocab


@pytest.fixture
def _real_chunks(monkeypatch: pytest.MonkeyPatch, _small_chunks: None) -> None:
    monkeypatch.undo()


def test_the_first_token_cannot_be_wanted() -> None:
    ids, mask, _ = ragged()
    with pytest.raises(ValueError, match="column 0"):
        token_logprobs_of(MODELS["gpt2"](), ids, mask, mask)


# --- gradient checkpointing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_activations_computed_again_give_the_same_gradients_bit_for_bit(name: str, dropout: float) -> None:
    from training.core.config import SFTConfig
    from training.core.stage import checkpoint_activations

    found = []
    for on in (False, True):
        model = MODELS[name]().train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = dropout
        checkpoint_activations(SFTConfig(gradient_checkpointing=on), model)
        torch.manual_seed(7)
        logp, _ = token_logprobs_of(model, *ragged())
        found.append((gradients(model, logp.sum()), kept_for_backward(model)))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert torch.equal(one, other)
    assert found[1][1] < found[0][1] / 2  # That it really kept less.


def kept_for_backward(model: Any) -> int:
    """Numbers that autograd keeps between the two passes."""
    kept: list[int] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        token_logprobs_of(model, *ragged())
    return sum(kept)


def test_stages_take_the_setting(tmp_path: Path, base: Path) -> None:
    """A reward model learns the same with it."""
    from tests.training.core.conftest import run_it
    from tests.training.core.rundirs import rankings

    found = []
    for on in (False, True):
        folder = tmp_path / str(on)
        config = {"gradient_checkpointing": on, "batch_size": 4, "shared_prefix": "off"}
        run_it(folder, "reward", config, data={"train": rankings(8)}, inputs={"model": base})
        found.append((folder / "model" / "model.safetensors").read_bytes())
    assert found[0] == found[1]
