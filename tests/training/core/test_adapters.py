"""Low-rank adapters: what learns, that it learns what the paper says (2106.09685), and that a plain whole model comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from inference.engine.folder import digest_folder
from inference.engine.models import ScalarModel, load_policy, load_scalar, save_policy
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, load_run, move, prompts, rankings
from training.core import reward, stage
from training.core.adapters import add_adapters, kept_copy, merged_copy
from training.core.checkpoint import checkpoints, own_tensors
from training.core.config import PRESETS, config_from_json
from training.core.errors import RunError
from training.core.language import token_logprobs_of
from training.core.loop import stream_seed
from training.core.report import read_rows
from training.core.run_folder import Run

RANK, ALPHA, WIDTH = 3, 12.0, 32
LORA = {"lora_rank": RANK, "lora_alpha": ALPHA}
MATRICES = {"attn.c_attn": 3 * WIDTH, "attn.c_proj": WIDTH, "mlp.c_fc": 4 * WIDTH, "mlp.c_proj": WIDTH}
IDS = torch.tensor([[9, 8, 7, 6, 5], [11, 12, 13, 14, 15]])
FRESH = """
import sys, torch
from transformers import AutoModel
from inference.engine.models import load_scalar
model, _ = load_scalar(sys.argv[1])
ids = torch.tensor([[9, 8, 7, 6, 5], [11, 12, 13, 14, 15]])
with torch.no_grad():
    scores = model.rewards(ids, torch.ones_like(ids))
trunk = AutoModel.from_pretrained(sys.argv[1]).state_dict()
assert all(torch.equal(trunk[name], weights) for name, weights in model.backbone.state_dict().items())
assert "peft" not in sys.modules
print(" ".join(number.hex() for number in scores.tolist()))
"""


def run_with(folder: Path, base: Path, **settings: Any) -> Run:
    config = {**PRESETS["test"]["sft"], **LORA, **settings}
    return load_run(folder, "sft", config, data={"train": demonstrations(2)}, inputs={"model": base})


def options(kind: str, base: Path, reward_model: Path) -> dict[str, Any]:
    rows = {"sft": demonstrations, "reward": rankings, "dpo": rankings, "ppo": prompts, "rloo": prompts}[kind]
    scored = {"reward": reward_model} if kind in ("ppo", "rloo") else {}
    return {"data": {"train": rows(12), "valid": rows(4)}, "inputs": {"model": base, **scored}}


def scores_of(model: ScalarModel) -> Tensor:
    with torch.no_grad():
        return model.rewards(IDS, torch.ones_like(IDS))


# --- what comes out -------------------------------------------------------------------------------------------------


def test_a_reward_model_keeps_its_head_and_scores_alike_in_a_fresh_process(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that is left behind comes back random and nobody is told (huggingface/trl#578)."""
    trained: list[ScalarModel] = []

    def keep(model: ScalarModel, *rest: Any) -> Any:
        trained.append(model)
        return stage.scalar_saver(model, *rest)

    monkeypatch.setattr(reward, "scalar_saver", keep)
    config = {**PRESETS["test"]["reward"], **LORA, "epochs": 6, "lr": 1e-2}
    data = {"train": rankings(24), "valid": rankings(6)}
    run_it(tmp_path, "reward", config, data=data, inputs={"model": base})
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["metrics"]["reward/valid_accuracy"] > 0.9
    assert told["shared_prefix"]["used"]

    published, _ = load_scalar(tmp_path / "model")
    here = scores_of(published)
    fresh = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "model")], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3], env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert fresh.stdout.split() == [number.hex() for number in here.tolist()]
    (unmerged,) = trained
    assert any("lora_A" in name for name in unmerged.state_dict()), "the one that trains stays as it is"
    assert float((scores_of(unmerged) - here).abs().max()) <= 1e-5
    start = ScalarModel.from_policy(base, seed=stream_seed(3, "head"))
    assert torch.equal(unmerged.score.weight, published.score.weight)
    assert float((published.score.weight - start.score.weight).detach().abs().max()) > 1e-3, "the head learns"
    trunk = {
        name.removeprefix("transformer.") for name in load_file(tmp_path / "model" / "model.safetensors")
    }
    assert trunk == {*start.backbone.state_dict(), "score.weight"}


@pytest.mark.parametrize("kind", ["sft", "dpo", "ppo", "rloo"])
def test_what_is_published_is_the_start_and_a_change_of_that_rank(
    kind: str, base: Path, reward_model: Path, tmp_path: Path
) -> None:
    """Equation 3: W0 + B A. All else is the input's, bit for bit, of a moving average too."""
    given = digest_folder(base), digest_folder(reward_model)
    average: dict[str, Any] = {"ema_decay": 0.7} if kind in ("ppo", "rloo") else {}
    config = {**PRESETS["test"][kind], **LORA, "lr": 2e-2, **average}
    run_it(tmp_path, kind, config, **options(kind, base, reward_model))
    start = load_file(base / "model.safetensors")
    for folder in ("model", "policy_last") if average else ("model",):
        after = load_file(tmp_path / folder / "model.safetensors")
        assert after.keys() == start.keys()
        changed = {name for name in start if not torch.equal(start[name], after[name])}
        assert changed == {f"transformer.h.0.{name}.weight" for name in MATRICES}
        for name in changed:
            length = torch.linalg.svdvals(after[name].double() - start[name].double())
            # float32 rounds a weight by 1e-8, and 32 x 128 of them come to less than 1e-6 in length.
            assert float(length[RANK]) < 1e-6, name
            assert float(length[RANK - 1]) > 1e-5, f"{name}: the whole rank is used"
    assert (digest_folder(base), digest_folder(reward_model)) == given


def test_a_copy_is_published_in_the_format_that_is_asked_for(base: Path, tmp_path: Path) -> None:
    config = {**PRESETS["test"]["sft"], **LORA, "save_dtype": "bfloat16"}
    run_it(tmp_path, "sft", config, **options("sft", base, base))
    after = load_file(tmp_path / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert after.keys() == load_file(base / "model.safetensors").keys()


# --- what learns, and how -------------------------------------------------------------------------------------------


def test_adapters_and_score_heads_learn_and_nothing_else(base: Path, tmp_path: Path) -> None:
    run = run_with(tmp_path, base)
    policy, _ = load_policy(base)
    value = ScalarModel.from_policy(base)
    add_adapters(run, policy, value)
    adapters = sum(
        RANK * (out + (4 if name == "mlp.c_proj" else 1) * WIDTH) for name, out in MATRICES.items()
    )
    for model, expected in ((policy, adapters), (value, adapters + WIDTH)):
        learns = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert sum(p.numel() for p in learns.values()) == expected
        assert learns.keys() == own_tensors(model).keys(), "a checkpoint holds what learns"
        assert {p.dtype for p in learns.values()} == {torch.float32}
    again, _ = load_policy(base)
    state = torch.get_rng_state()
    add_adapters(run, again)
    assert torch.equal(torch.get_rng_state(), state), "it takes nothing from the stream of dropout"
    for one, other in zip(policy.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_first_gradient_is_the_matrices_own_as_the_adapters_see_it(base: Path, tmp_path: Path) -> None:
    """From h = W x + alpha / r B A x: dB = alpha / r dW A^T, and dA = alpha / r B^T dW = 0 as long as B is 0."""
    plain, _ = load_policy(base)
    adapted, _ = load_policy(base)
    add_adapters(run_with(tmp_path, base), adapted)
    wanted = torch.ones_like(IDS)
    wanted[:, 0] = 0
    said = [token_logprobs_of(model, IDS, torch.ones_like(IDS), wanted)[0] for model in (plain, adapted)]
    assert torch.equal(*said), "it starts as its input, bit for bit"
    for logp in said:
        torch.autograd.backward(-logp.sum())
    for name in MATRICES:
        weight = plain.get_parameter(f"transformer.h.0.{name}.weight")
        layer: Any = adapted.get_submodule(f"transformer.h.0.{name}")
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        assert weight.grad is not None
        assert not a.grad.any()
        a = a.detach()
        expected = ALPHA / RANK * weight.grad.T @ a.T  # Conv1D keeps W^T.
        torch.testing.assert_close(b.grad, expected, rtol=1e-4, atol=1e-6)
        assert float(expected.abs().max()) > 1e-3
        assert float(a.abs().max()) <= a.shape[1] ** -0.5


def test_demonstrations_are_learned_with_few_weights(base: Path, tmp_path: Path) -> None:
    """From weights that say something: the head stays as it is, and over a new model's tiny one all words are alike."""
    model, tokenizer = load_policy(base)
    move(model, by=0.3)
    save_policy(model, tokenizer, tmp_path / "start")
    config = {**PRESETS["test"]["sft"], **LORA, "epochs": 20, "lr": 2e-2, "eval_every": 1000}
    run_it(tmp_path, "sft", config, **options("sft", tmp_path / "start", base))
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert rows[-1]["sft/valid_nll"] < 0.5 * rows[0]["sft/valid_nll"]


def test_ppo_starts_at_its_reference_and_samples_what_it_learns(
    base: Path, reward_model: Path, tmp_path: Path
) -> None:
    config = {**PRESETS["test"]["ppo"], **LORA, "lr": 1e-2, "value_lr": 1e-2}
    run_it(tmp_path, "ppo", config, **options("ppo", base, reward_model))
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert rows[0]["ppo/kl"] == 0
    assert rows[-1]["ppo/kl"] != 0
    assert max(row["ppo/first_ratio_error"] for row in rows) == 0
    assert max(row["ppo/engine_logprob_error"] for row in rows) <= 1e-5
    saved = load_file(checkpoints(tmp_path)[-1] / "tensors.safetensors")
    kept = {name for name in saved if name.startswith("module/")}
    assert {name for name in kept if "lora_" not in name} == {"module/value/score.weight"}
    assert {name.split("/")[1] for name in kept} == {"policy", "value"}


def test_dpo_starts_with_margins_of_zero(base: Path, tmp_path: Path) -> None:
    run_it(tmp_path, "dpo", {**PRESETS["test"]["dpo"], **LORA}, **options("dpo", base, base))
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert (rows[1]["dpo/margin"], rows[0]["dpo/kl"]) == (0, 0)
    assert rows[-1]["dpo/margin"] != 0


def test_activations_computed_again_change_nothing(base: Path, tmp_path: Path) -> None:
    found = []
    for on in (False, True):
        config = {**PRESETS["test"]["sft"], **LORA, "gradient_checkpointing": on, "dropout": 0.3}
        run_it(tmp_path / str(on), "sft", config, **options("sft", base, base))
        found.append((tmp_path / str(on) / "model" / "model.safetensors").read_bytes())
    assert found[0] == found[1]


# --- models of other shapes -----------------------------------------------------------------------------------------


def deep(kind: str) -> PreTrainedModel:
    """More matrices than peft lists by their whole names; with a head of its own where the architecture has one."""
    if kind == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=50, n_embd=16, n_layer=8, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
            )
        )
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2,
            num_key_value_heads=1, tie_word_embeddings=False,
        )
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "count"), [("gpt2", 8 * 4), ("llama", 4 * 7)])
def test_every_matrix_of_every_block_has_an_adapter(
    kind: str, count: int, base: Path, tmp_path: Path
) -> None:
    model = deep(kind).eval()
    names = set(model.state_dict())
    add_adapters(run_with(tmp_path, base), model)
    learns = [p for p in model.parameters() if p.requires_grad]
    assert len(learns) == 2 * count
    with torch.no_grad():
        for p in learns:
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
        whole = merged_copy(model)
        assert whole is not None
        assert set(whole.state_dict()) == names
        torch.testing.assert_close(whole(input_ids=IDS).logits, model(input_ids=IDS).logits)


def test_a_kept_copy_shares_what_nobody_changes(base: Path, tmp_path: Path) -> None:
    model, _ = load_policy(base)
    add_adapters(run_with(tmp_path, base), model)
    copied = kept_copy(model)
    assert not any(p.requires_grad for p in copied.parameters())
    assert copied.get_input_embeddings() is not model.get_input_embeddings()
    assert copied.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict(keep_vars=True).items():
        assert (copied.state_dict(keep_vars=True)[name] is tensor) == ("lora_" not in name), name


def test_without_a_matrix_in_its_blocks_a_model_is_refused(base: Path, tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=0, n_head=2, bos_token_id=0, eos_token_id=0)
    with pytest.raises(RunError, match="no linear layer") as refused:
        add_adapters(run_with(tmp_path, base), GPT2LMHeadModel(config))
    assert (refused.value.code, "lora_rank to 0" in refused.value.remedy) == ("no_adapters", True)


@pytest.mark.parametrize("kind", ["pretrain", "score", "best_of_n"])
def test_what_starts_from_no_model_or_trains_none_has_no_such_setting(kind: str) -> None:
    with pytest.raises(ValueError, match=r"unknown settings.*lora_rank"):
        config_from_json(kind, {"lora_rank": 4})
