"""Models that a run refuses: of other tokenizers, without their whole weights, able to run code, too near-sighted for a row."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from transformers import MistralConfig, MistralForCausalLM

from inference.engine.models import load_policy, load_scalar, load_tokenizer, save_policy, save_scalar
from inference.engine.tokenizer import train_tokenizer
from tests.inference.engine.support import chatml
from tests.training.core.conftest import Error, run_it, told
from tests.training.core.forks import Forks
from tests.training.core.rundirs import demonstrations, prompts, rankings
from tests.training.core.stages import STAGES, WRITERS
from training.core.config import PRESETS
from training.core.errors import RunError
from training.core.stage import check_same_tokenizer

TEST = PRESETS["test"]


def test_models_of_different_tokenizers(
    base: Path, reward_model: Path, tmp_path: Path, error_of: Error
) -> None:
    words = train_tokenizer(["quite other words, these zebras"], 300)
    policy, _ = load_policy(base)
    save_policy(policy, words, tmp_path / "models" / "reference")
    reward, _ = load_scalar(reward_model)
    save_scalar(reward, words, tmp_path / "models" / "reward")
    inputs = {"model": base, "reward": reward_model}
    for role in ("reference", "reward"):
        other = {**inputs, role: tmp_path / "models" / role}
        error = error_of(tmp_path / role, "ppo", data={"train": prompts(4)}, inputs=other)
        assert error["code"] == "tokenizer_mismatch"
        assert role in error["message"]
        assert "their vocabularies differ" in error["message"]


def test_tokenizers_of_one_vocabulary_that_make_other_ids_are_told_apart(base: Path, tmp_path: Path) -> None:
    """By the order of their merges or by what their templates write, and not by how a template is worded."""
    file = Path(shutil.copytree(base, tmp_path / "merged")) / "tokenizer.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    state["model"]["merges"].reverse()
    file.write_text(json.dumps(state), encoding="utf-8")
    ours, merged = load_tokenizer(base), load_tokenizer(file.parent)
    theirs, reworded, templated = (chatml(ours) for _ in range(3))
    template = cast(str, theirs.chat_template)
    reworded.chat_template = "{# as before #}" + template
    templated.chat_template = template.replace("assistant", "model")
    check_same_tokenizer(theirs, reworded, "Two")
    for one, other, differ in ((ours, merged, "merges"), (theirs, templated, "chat templates")):
        assert one.get_vocab() == other.get_vocab()
        check_same_tokenizer(other, other, "Two")
        with pytest.raises(RunError, match=f"Two have different tokenizers: their {differ} differ"):
            check_same_tokenizer(one, other, "Two")


@pytest.mark.parametrize("name", ["sft with text, chosen by reward", "best_of_n", "score"])
def test_a_reward_model_of_another_tokenizer(
    name: str, models: dict[str, Path], tmp_path: Path, forks: Forks
) -> None:
    """It would read other words than were written, and every score would be a number all the same."""
    reward, _ = load_scalar(models["reward"])
    save_scalar(reward, train_tokenizer(["quite other words, these zebras"], 300), tmp_path / "other")
    stage = {**STAGES, **WRITERS}[name]
    inputs = {"model": models["model"], "reference": models["model"], "reward": tmp_path / "other"}
    error = told(tmp_path / "run", forks.run(stage.kind, stage.write(tmp_path / "run", inputs, {})))
    assert error["code"] == "tokenizer_mismatch"
    assert "the reward model" in error["message"]


def test_a_tokenizer_larger_than_its_models_embedding(base: Path, tmp_path: Path, error_of: Error) -> None:
    model, _ = load_policy(base)
    larger = train_tokenizer((f"some zebra {n} of {n * n}" for n in range(2000)), 600)
    save_policy(model, larger, tmp_path / "models" / "base")
    inputs = {"model": tmp_path / "models" / "base"}
    error = error_of(tmp_path, "sft", data={"train": demonstrations(2)}, inputs=inputs)
    assert error["code"] == "bad_model"
    assert "600 tokens" in error["message"]
    assert "512 rows" in error["message"]


def test_a_policy_is_no_reward_model(base: Path, tmp_path: Path, error_of: Error) -> None:
    error = error_of(tmp_path, "ppo", data={"train": prompts(4)}, inputs={"model": base, "reward": base})
    assert error["code"] == "bad_model"


def add_code(folder: Path) -> None:
    (folder / "modeling.py").write_text("raise SystemExit", encoding="utf-8")


def add_pickle(folder: Path) -> None:
    """Weights as torch.save makes them, beside the safe ones or in their place."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def ask_for_code(name: str) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        config = json.loads((folder / name).read_text(encoding="utf-8"))
        config["auto_map"] = {"AutoModelForCausalLM": "modeling.Evil"}
        (folder / name).write_text(json.dumps(config), encoding="utf-8")

    return add


def cut_in_half(folder: Path) -> None:
    """As a copy that was broken off leaves them."""
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def ask_for_more(field: str) -> Callable[[Path], None]:
    """A config that wants more weights than there are, by number or by size."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config[field] *= 2
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (cut_in_half, "damaged weights"), (ask_for_more("n_layer"), "weights are missing"),
        (ask_for_more("n_embd"), "do not fit config.json"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["model", "reward"])
def test_a_model_folder_without_its_whole_weights_is_not_loaded(
    spoil: Callable[[Path], None], word: str, role: str, models: dict[str, Path], tmp_path: Path, forks: Forks
) -> None:
    broken = shutil.copytree(models[role], tmp_path / "broken")
    spoil(broken)
    path = STAGES["ppo"].write(tmp_path / "run", {**models, role: broken}, {})
    error = told(path.parent, forks.run("ppo", path))
    assert error["code"] == "bad_model"
    assert word in error["message"]
    assert role in error["message"]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (add_code, "modeling.py"), (add_pickle, "pytorch_model.bin"), (ask_for_code("config.json"), "auto_map"),
        (ask_for_code("tokenizer_config.json"), "auto_map"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.inputs])
def test_a_model_folder_that_could_run_code_is_not_loaded(
    spoil: Callable[[Path], None], word: str, name: str, models: dict[str, Path], tmp_path: Path, forks: Forks
) -> None:
    stage = STAGES[name]
    for role in stage.inputs:
        evil = shutil.copytree(models[role], tmp_path / role / "evil")
        spoil(evil)
        path = stage.write(tmp_path / role / "run", {**models, role: evil}, {})
        error = told(path.parent, forks.run(stage.kind, path))
        assert error["code"] == "bad_model"
        assert word in error["message"]
        assert role in error["message"]


@pytest.fixture(scope="module")
def near_sighted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy whose layers see 40 tokens, in a context of 96."""
    _, tokenizer = load_policy(base)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=96, sliding_window=40, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "near"
    save_policy(MistralForCausalLM(config), tokenizer, folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "rows", "dropped"),
    [
        ("sft", demonstrations(8), {"too_long": 1}),
        ("dpo", rankings(8), {"answers_too_long": 4, "rankings_too_small": 1}),
        ("ppo", prompts(5), {"prompts_too_long": 1}),
    ],
)
def test_what_no_layer_sees_whole_is_too_long_in_training_as_in_sampling(
    kind: str, rows: list[dict[str, Any]], dropped: dict[str, int], near_sighted: Path, reward_model: Path, tmp_path: Path
) -> None:  # fmt: skip
    rows = copy.deepcopy(rows)
    (rows[0].get("messages") or rows[0]["prompt"])[0]["content"] = "word " * 20
    inputs = {"model": near_sighted} | ({"reward": reward_model} if kind == "ppo" else {})
    folder = run_it(tmp_path, kind, TEST[kind], data={"train": rows}, inputs=inputs)
    assert json.loads((folder / "result.json").read_text())["dropped"] == dropped
