"""Pretraining: text in, a model folder out that the next stages can stand on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from inference.engine.chat import decode
from inference.engine.models import load_policy
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, write_rows
from training.core.config import PRESETS, PretrainConfig
from training.core.pretrain import block_batch, document_ids, read_documents
from training.core.report import read_rows
from training.core.run_folder import sha256_of, write_json

TEST = PRESETS["test"]["pretrain"]
SENTENCES = ["the cat sat on the mat. ", "the dog ran to the sea. ", "a bird sang in the rain. "]


def write_text(folder: Path, documents: int = 60) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n<|endoftext|>\n".join(SENTENCES[n % 3] * 3 + str(n) for n in range(documents))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    return folder


def pretrain(folder: Path, **settings: Any) -> dict[str, Any]:
    write_text(folder / "inputs" / "dataset")
    run_it(folder, "pretrain", {**TEST, **settings})
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def test_it_learns_and_its_model_goes_on_to_sft(tmp_path: Path) -> None:
    numbers = {
        "steps": 80,
        "lr": 1e-2,
        "valid_share": 0.1,
        "eval_every": 5,
        "save_dtype": "bfloat16",
        "width": 32,
        "batch_size": 8,
    }
    pretrain(tmp_path / "pre", **numbers)
    bits = [
        row["pretrain/valid_bits_per_byte"]
        for row in read_rows(tmp_path / "pre" / "metrics.jsonl")
        if "pretrain/valid_bits_per_byte" in row
    ]
    assert bits[-1] < bits[0] / 2  # These sentences repeat: once known they cost little.
    assert {t.dtype for t in load_file(tmp_path / "pre" / "model" / "model.safetensors").values()} == {
        torch.bfloat16
    }
    run_it(tmp_path / "sft", "sft", {**PRESETS["test"]["sft"], "max_length": 32}, data={"train": demonstrations(8)},
           inputs={"model": tmp_path / "pre" / "model"})  # fmt: skip


def test_bits_per_byte_are_those_of_a_plain_pass(tmp_path: Path) -> None:
    result = pretrain(tmp_path, valid_share=0.2, steps=4)
    model, tokenizer = load_policy(tmp_path / "model")
    _, valid = read_documents(tmp_path / "inputs" / "dataset", 0.2, seed=3)
    assert valid
    nats = size = 0.0
    for document in valid:
        full = document_ids(tokenizer, document)
        starts = [tokenizer.eos_token_id, *full]
        for i in range(0, len(starts) - 1, 31):
            window = torch.tensor([starts[i : i + 32]])
            with torch.no_grad():
                logp = model(input_ids=window).logits[0, :-1].log_softmax(-1)
            nats -= float(logp.gather(1, window[0, 1:, None]).sum())
        size += len(decode(tokenizer, full).encode())
    expected = nats / size / torch.tensor(2.0).log().item()
    assert result["metrics"]["pretrain/valid_bits_per_byte"] == pytest.approx(expected, rel=1e-4)


def test_an_end_of_text_marker_inside_a_text_is_only_text(tmp_path: Path) -> None:
    write_text(tmp_path)
    (tmp_path / "evil.txt").write_text("before <|end|> after", encoding="utf-8")
    run_it(tmp_path / "run", "pretrain", TEST, inputs={"dataset": tmp_path})
    _, tokenizer = load_policy(tmp_path / "run" / "model")
    ids = document_ids(tokenizer, "before <|end|> after")
    assert ids.count(int(tokenizer.eos_token_id)) == 1
    assert ids[-1] == tokenizer.eos_token_id


def test_dialogues_and_validation_files_are_read(tmp_path: Path) -> None:
    write_text(tmp_path)
    rows = [{"id": row["id"], "messages": row["messages"]} for row in demonstrations(6)]
    write_rows(tmp_path / "train.jsonl", rows)
    write_rows(tmp_path / "valid.jsonl", rows[:2])
    train, valid = read_documents(tmp_path, 0.0, seed=0)
    assert (len(train), len(valid)) == (66, 2)


def test_an_epoch_shows_every_block_once_and_the_next_one_others() -> None:
    stream, cfg = torch.arange(1000), PretrainConfig(context=16, batch_size=1)
    per_epoch = 999 // 16 - 1
    first = [int(block_batch(stream, cfg, 0, step)[0, 0]) for step in range(per_epoch)]
    assert len(set(first)) == per_epoch
    assert all((a - first[0]) % 16 == 0 for a in first)
    second = [int(block_batch(stream, cfg, 0, step)[0, 0]) for step in range(per_epoch, 2 * per_epoch)]
    assert set(first) != set(second)
    assert block_batch(stream, cfg, 0, 0).shape == (1, 17)


def test_a_time_budget_ends_the_run_early_with_a_model(tmp_path: Path) -> None:
    result = pretrain(
        tmp_path,
        steps=100_000,
        budget_seconds=1.0,
        save_every=100_000,
        sample_every=100_000,
        eval_every=100_000,
    )
    assert result["stopped"] == "budget_seconds"
    assert 0 < result["steps"] < 100_000
    load_policy(tmp_path / "model")


def test_a_resumed_run_counts_on_the_seconds_of_its_budget(tmp_path: Path) -> None:
    """The checkpoint says 100 s are spent, of 100: one more step and it is over, however fast this machine is."""
    short = {"steps": 8, "save_every": 2, "keep_checkpoints": 9, "budget_seconds": 100.0, "eval_every": 100}
    write_text(tmp_path / "inputs" / "dataset")
    run_it(tmp_path, "pretrain", {**TEST, **short})
    place = tmp_path / "step-4"
    fields = json.loads((place / "state.json").read_text())
    assert 0 < fields["numbers"]["seconds"] < 100
    fields["numbers"]["seconds"] = 100.0
    write_json(place / "state.json", fields)
    manifest = json.loads((place / "MANIFEST.json").read_text())
    written = {"sha256": sha256_of(place / "state.json"), "size": (place / "state.json").stat().st_size}
    manifest["files"]["state.json"] = written
    write_json(place / "MANIFEST.json", manifest)
    run_it(tmp_path, "pretrain", {**TEST, **short}, resume_from="step-4")
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["stopped"], result["steps"]) == ("budget_seconds", 5)
