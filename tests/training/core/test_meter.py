"""What a step costs: formulas against numbers worked by hand, and the columns of a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from inference.engine.models import ScalarModel
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, load_run, prompts
from training.core.adapters import add_adapters
from training.core.config import PRESETS
from training.core.devices import PEAKS, Peak, peak_of
from training.core.glossary import TITLES, page
from training.core.meter import Meter, decoding_bytes, multiplied_weights, training_flops, whole
from training.core.metrics import METRICS
from training.core.report import read_rows

LAYERS, WIDTH, VOCABULARY, CONTEXT = 2, 8, 20, 16
GPT2 = GPT2Config(vocab_size=VOCABULARY, n_layer=LAYERS, n_embd=WIDTH, n_head=2, n_positions=CONTEXT)
BLOCK = 12 * WIDTH**2 + 13 * WIDTH  # attention 4 d^2 + 4 d, MLP 8 d^2 + 5 d, two norms 4 d
WEIGHTS = (
    LAYERS * BLOCK + 2 * WIDTH + VOCABULARY * WIDTH
)  # the last norm, and the embedding that is the head too


def test_the_arithmetic_of_training_is_nanogpts() -> None:
    """6 N + 12 L H Q T a token, N without position embeddings; two sequences of 5 and 3 tokens."""
    model = GPT2LMHeadModel(GPT2)
    assert sum(p.numel() for p in multiplied_weights(model)) == WEIGHTS
    assert sum(p.numel() for p in model.parameters()) == WEIGHTS + CONTEXT * WIDTH
    assert training_flops(model, 8, 5 * 5 + 3 * 3) == 6 * WEIGHTS * 8 + 12 * LAYERS * WIDTH * (25 + 9)


def test_a_frozen_weight_costs_two_thirds_of_one_that_learns(base: Path, tmp_path: Path) -> None:
    """Forward 2, gradient of what it reads 2; the 2 of its own gradient are not computed."""
    model = GPT2LMHeadModel(GPT2)
    rank, matrices = 3, LAYERS * (4 + 2 + 5 + 5) * WIDTH  # in + out of attention's two and the MLP's two
    config = {"lora_rank": rank}
    add_adapters(load_run(tmp_path, "sft", config, data={"train": []}, inputs={"model": base}), model)
    expected = (4 * WEIGHTS + 6 * rank * matrices) * 8 + 12 * LAYERS * WIDTH * 34
    assert training_flops(model, 8, 34) == expected


def test_an_embedding_that_is_no_head_is_looked_up_and_not_multiplied() -> None:
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, tie_word_embeddings=False, max_position_embeddings=CONTEXT,
        )
    )  # fmt: skip
    block = WIDTH * WIDTH * 2 + 2 * WIDTH * (WIDTH // 2) + 3 * WIDTH * 16 + 2 * WIDTH
    assert sum(p.numel() for p in multiplied_weights(llama)) == block + WIDTH + VOCABULARY * WIDTH
    # One of two heads keeps keys and values: 2 x 4 numbers a token, 4 bytes each.
    weights = 4 * (block + WIDTH + VOCABULARY * WIDTH)
    assert decoding_bytes(llama, 3, [(5, 3), (2, 1)]) == 3 * weights + 32 * ((5 + 6 + 7) + 2)


def test_a_reward_model_has_no_head_over_the_vocabulary(base: Path) -> None:
    model = ScalarModel.from_policy(base, seed=0)
    embeddings = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    looked_up = sum(m.weight.numel() for m in embeddings)
    assert (
        sum(p.numel() for p in multiplied_weights(model))
        == sum(p.numel() for p in model.parameters()) - looked_up
    )


@pytest.mark.parametrize("bf16", [False, True])
def test_utilisation_is_work_over_time_and_peak(bf16: bool) -> None:
    meter, model = Meter(), GPT2LMHeadModel(GPT2)
    meter.use(torch.device("cpu"), bf16=bf16)
    meter.peak = Peak(bfloat16=4e6, float32=1e6, bandwidth=1e5, source="a test")
    with meter.phase("forward_backward"):
        pass
    meter.trained(whole([5, 3]), model)
    meter.decoded(model, 3, [(5, 3)], seconds=2.0)
    found = meter.take()
    seconds = found["perf/forward_backward_s"]
    assert found["perf/tokens_per_s"] == pytest.approx(8 / seconds)
    flops = training_flops(model, 8, 34)
    assert found["perf/mfu"] == pytest.approx(flops / seconds / (4e6 if bf16 else 1e6))
    assert found["perf/mbu"] == pytest.approx(decoding_bytes(model, 3, [(5, 3)]) / 2.0 / 1e5)
    assert found["perf/sampled_tokens_per_s"] == 1.5
    assert set(meter.take()) == {"perf/memory_mb"}, "taken once"


def test_no_peak_is_made_up() -> None:
    assert peak_of("Some CPU") is None
    for name, peak in PEAKS.items():
        assert name.startswith("NVIDIA ")
        assert peak.source
        assert 1e13 < peak.float32 < peak.bfloat16 < 1e16, name
        assert 1e11 < peak.bandwidth < 1e13, name
    # Dense and not sparse: half of what data sheets print in bold.
    assert (PEAKS["NVIDIA H100 80GB HBM3"].bfloat16, PEAKS["NVIDIA A100-SXM4-80GB"].bfloat16) == (
        989e12,
        312e12,
    )


def test_a_run_tells_where_its_time_went(base: Path, reward_model: Path, tmp_path: Path) -> None:
    run_it(
        tmp_path / "sft", "sft", {**PRESETS["test"]["sft"], "save_every": 1},
        data={"train": demonstrations(16), "valid": demonstrations(4)}, inputs={"model": base},
    )  # fmt: skip
    run_it(
        tmp_path / "ppo", "ppo", {**PRESETS["test"]["ppo"], "save_every": 1},
        data={"train": prompts(5)}, inputs={"model": base, "reward": reward_model},
    )  # fmt: skip
    expected = {
        "sft": {"data", "forward_backward", "optimizer", "checkpoint"},
        "ppo": {"rollout", "score", "forward_backward", "optimizer", "checkpoint"},
    }
    for kind, phases in expected.items():
        row = read_rows(tmp_path / kind / "metrics.jsonl")[3]
        spent = {name: row[f"perf/{name}_s"] for name in phases}
        assert all(seconds > 0 for seconds in spent.values())
        within = sum(row.get(f"perf/{name}_s", 0.0) for name in (phases | {"eval"}) - {"checkpoint"})
        assert within <= row["perf/seconds"]
        assert row["perf/tokens_per_s"] > 0
        assert 100 < row["perf/memory_mb"] < 10_000
        assert not {"perf/mfu", "perf/mbu"} & row.keys(), "no peak of this CPU is known"


def test_the_page_of_metrics_has_every_number_once() -> None:
    text = page()
    assert [text.count(f"| `{name}` |") for name in METRICS] == [1] * len(METRICS)
    assert {name.split("/")[0] if "/" in name else "" for name in METRICS} == set(TITLES)
    assert METRICS["perf/mfu"].meaning in text
