"""SFT: what it learns from, that it learns it, and where its dropout sits."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from inference.engine.folder import digest_folder
from inference.engine.models import load_policy
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations, make_model, make_run, write_rows
from training.core import packing, sft
from training.core.__main__ import main
from training.core.config import PRESETS, SFTConfig, preset
from training.core.data import Dropped, read_demonstrations
from training.core.errors import RunError
from training.core.language import logprobs_at
from training.core.loop import lr_factor
from training.core.report import read_rows
from training.core.run_folder import sha256_of

LETTERS = "abcdef"
# Row: the letter before; probabilities of the next one, and of the end in the last column.
CHAIN = [[0.5, 0.3, 0.0, 0.0, 0.0, 0.1, 0.1], [0.0, 0.1, 0.8, 0.0, 0.0, 0.0, 0.1], [0.3, 0.0, 0.0, 0.3, 0.3, 0.0, 0.1],
         [0.0, 0.0, 0.1, 0.1, 0.7, 0.0, 0.1], [0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.1], [0.0, 0.4, 0.0, 0.5, 0.0, 0.0, 0.1]]  # fmt: skip


def chain_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Demonstrators that write by the chain; the prompt names the letter that they start from."""
    rng, rows = random.Random(seed), []
    for n in range(count):
        state = rng.randrange(6)
        prompt, text = LETTERS[state], ""
        while (state := rng.choices(range(7), CHAIN[state])[0]) != 6 and len(text) < 40:
            text += LETTERS[state]
        if text:
            rows.append(
                {
                    "id": str(n),
                    "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}],
                }
            )
    return rows


def chain_nll(rows: list[dict[str, Any]]) -> float:
    """What the demonstrators themselves reach on these rows, in nats per token, the end included. An empty answer is never shown."""
    nats = tokens = 0.0
    for row in rows:
        state = LETTERS.index(row["messages"][0]["content"])
        for place, letter in enumerate([*row["messages"][1]["content"], "end"]):
            following = 6 if letter == "end" else LETTERS.index(letter)
            share = CHAIN[state][following] / (0.9 if place == 0 else 1)
            nats, tokens = nats - float(torch.tensor(share).log()), tokens + 1
            state = following
    return nats / tokens


def test_it_learns_a_known_chain_to_its_entropy(tmp_path: Path) -> None:
    """E5: held-out NLL within 0.02 nats of the demonstrators' own (a uniform guess is 0.8 above), the end of the answer
    included, and answers end as often as the demonstrators' do."""
    model = make_model(tmp_path / "model", vocab=261, width=48)
    valid = chain_rows(300, seed=2)
    config = {
        "lr": 8e-3, "epochs": 2, "batch_size": 24, "warmup_steps": 10, "max_grad_norm": 1.0, "eval_every": 1000,
        "sample_every": 1000, "save_every": 1000,
    }  # fmt: skip
    data = {"train": chain_rows(8000, seed=1), "valid": valid}
    run_it(tmp_path / "run", "sft", config, data=data, inputs={"model": model})
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert chain_nll(valid) - 0.02 <= result["metrics"]["sft/valid_nll"] <= chain_nll(valid) + 0.02

    learned, tokenizer = load_policy(tmp_path / "run" / "model")
    rows = read_demonstrations(
        tmp_path / "run" / "inputs" / "dataset", "valid.jsonl", tokenizer, 96, len(tokenizer), Dropped()
    )
    batch, places, targets = packing.lay_out([[row] for row in rows], learned.device)
    with torch.no_grad():
        ends, _ = logprobs_at(learned, batch, places, torch.full_like(targets, tokenizer.eos_token_id))
    assert float(ends.exp().mean()) == pytest.approx(
        float((targets == tokenizer.eos_token_id).float().mean()), abs=0.01
    )


def test_only_the_last_answer_is_learned_and_its_eos_too(base: Path, tmp_path: Path) -> None:
    _, tokenizer = load_policy(base)
    earlier = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    write_rows(
        tmp_path / "train.jsonl",
        [{"id": "1", "messages": [*earlier, {"role": "assistant", "content": "So long"}]}],
    )
    (row,) = read_demonstrations(tmp_path, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    learned = row.ids[row.prompt_tokens :]
    assert learned[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(learned[:-1]) == "So long"
    assert tokenizer.decode(row.ids[: row.prompt_tokens]).count("Hello") == 1


TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Name a fruit"},
    {"role": "assistant", "content": "Apple pie"},
    {"role": "user", "content": "Bye"},
    {"role": "assistant", "content": "So long"},
]


def talk(folder: Path, tokenizer: Any, dropped: Dropped, loss_turns: str = "last", **row: Any) -> list[Any]:
    write_rows(folder / "train.jsonl", [{"id": "1", "messages": TALK, **row}])
    return read_demonstrations(
        folder, "train.jsonl", tokenizer, 200, len(tokenizer), dropped, loss_turns=loss_turns
    )


@pytest.mark.parametrize(
    ("loss_turns", "row", "expected"),
    [
        ("last", {}, ["So long"]),
        ("all", {}, ["Hello", "Apple pie", "So long"]),
        ("last", {"learn": [3]}, ["Apple pie"]),
        ("all", {"learn": [5, 1]}, ["Hello", "So long"]),
        ("all", {"messages": TALK[1:4]}, ["Apple pie"]),  # An opening answers nothing.
    ],
)
def test_the_chosen_turns_are_learned_with_their_ends(
    base: Path, tmp_path: Path, loss_turns: str, row: dict[str, Any], expected: list[str]
) -> None:
    model, tokenizer = load_policy(base)
    tokenizer.pad_token = tokenizer.eos_token  # The usual shortcut must hide no end.
    model.config.pad_token_id = tokenizer.eos_token_id
    (one,) = talk(tmp_path, tokenizer, Dropped(), loss_turns, **row)
    turns = [one.ids[start:stop] for start, stop in one.learned]
    assert [tokenizer.decode(turn[:-1]) for turn in turns] == expected
    assert all(turn[-1] == tokenizer.eos_token_id for turn in turns)
    assert one.ids[one.learned[-1][1] :] == []  # What follows the last of them is not read for nothing.

    _, places, targets = packing.lay_out([[one]], model.device)
    assert targets.tolist() == [token for turn in turns for token in turn]
    assert [one.ids[place + 1] for place in places.tolist()] == targets.tolist()


def test_no_gradient_comes_from_outside_the_chosen_turns(base: Path, tmp_path: Path) -> None:
    """The loss as a function of all logits: its gradient is zero at every place that foretells another token."""
    model, tokenizer = load_policy(base)
    (one,) = talk(tmp_path, tokenizer, Dropped(), learn=[1, 5])
    ids = torch.tensor([one.ids])
    logits = model(input_ids=ids).logits.detach().requires_grad_()
    mine = torch.zeros(len(one.ids), dtype=torch.bool)
    for start, stop in one.learned:
        mine[start - 1 : stop - 1] = True
    picked = logits[0].log_softmax(-1)[:-1].gather(1, ids[0, 1:, None]).squeeze(1)
    expected = -picked[mine[:-1]].sum()
    loss = sft.answer_nll(model, [one], SFTConfig())
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)

    states: list[torch.Tensor] = []
    hook = model.base_model.register_forward_hook(lambda _m, _i, out: states.append(out.last_hidden_state))
    loss = sft.answer_nll(model, [one], SFTConfig())
    hook.remove()
    (gradient,) = torch.autograd.grad(loss, states[0])
    assert torch.equal(gradient[0].abs().sum(-1) > 0, mine)


def test_an_earlier_turn_that_the_template_rewrites_is_dropped_and_counted(
    base: Path, tmp_path: Path
) -> None:
    """A template that shortens answers once the dialogue has gone on would teach what the model never has to write."""
    _, tokenizer = load_policy(base)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}"
        "{{ '<|assistant|>' + (m['content'] if loop.last else m['content'][:2]) + '<|end|>' }}"
        "{% else %}{{ '<|user|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    dropped = Dropped()
    assert talk(tmp_path, tokenizer, dropped, "all") == []
    assert dropped == {"turns_rewritten": 1}
    (last,) = talk(tmp_path, tokenizer, Dropped(), "last")
    assert tokenizer.decode(last.ids[last.prompt_tokens : -1]) == "So long"


@pytest.mark.parametrize("learn", [[0], [2], [9], ["1"], "all", [True], 1])
def test_turns_that_are_no_answers_cannot_be_chosen(base: Path, tmp_path: Path, learn: Any) -> None:
    with pytest.raises(RunError, match=r"train\.jsonl line 1 has under 'learn'"):
        talk(tmp_path, load_policy(base)[1], Dropped(), learn=learn)


def test_a_pad_that_is_eos_hides_no_eos_from_the_loss(base: Path, tmp_path: Path) -> None:
    """Masks come from lengths, so even a tokenizer whose pad id is its EOS learns where to stop."""
    model, tokenizer = load_policy(base)
    write_rows(tmp_path / "train.jsonl", demonstrations(6))
    before = read_demonstrations(tmp_path, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    loss = sft.answer_nll(model, before, SFTConfig())
    tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.eos_token_id
    after = sft.answer_nll(
        model,
        read_demonstrations(tmp_path, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped()),
        SFTConfig(),
    )
    assert torch.equal(loss, after)
    cut = [
        replace(r, ids=r.ids[:-1], learned=tuple((start, stop - 1) for start, stop in r.learned))
        for r in before
    ]
    shorter = sft.answer_nll(model, cut, SFTConfig())
    assert float(loss.detach()) > float(shorter.detach()) + 1  # The EOS has its share in the loss.


def test_dropout_is_on_the_residual_branches_only(base: Path) -> None:
    model, _ = load_policy(base)
    sft.use_dropout(model, 0.2)
    found = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    assert {name for name, p in found.items() if p} == {
        "transformer.h.0.attn.resid_dropout",
        "transformer.h.0.mlp.dropout",
    }
    assert set(found.values()) == {0.0, 0.2}


def test_dropout_on_an_architecture_without_it_is_refused() -> None:
    with pytest.raises(RunError, match="no residual dropout"):
        sft.use_dropout(nn.Linear(2, 2), 0.2)


def test_batches_are_of_like_lengths_and_hold_every_row_once(base: Path, tmp_path: Path) -> None:
    _, tokenizer = load_policy(base)
    write_rows(tmp_path / "train.jsonl", demonstrations(50))
    rows = read_demonstrations(tmp_path, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
    wasted = {}
    for window in (1, 8):
        batches = sft.batches_of(rows, SFTConfig(batch_size=8, sort_window=window), seed=0, epoch=0)
        assert sorted(i for batch in batches for i in batch) == list(range(50))
        wasted[window] = sum(max(len(rows[i].ids) for i in b) * len(b) for b in batches)
    assert wasted[8] < wasted[1]
    assert sft.batches_of(rows, SFTConfig(), 0, 0) != sft.batches_of(rows, SFTConfig(), 0, 1)


def test_the_run_is_told_from_before_the_first_step_to_the_last(base: Path, tmp_path: Path) -> None:
    data = {"train": demonstrations(16), "valid": demonstrations(4)}
    run_it(tmp_path, "sft", PRESETS["test"]["sft"], data=data, inputs={"model": base})
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0]["sft/valid_nll"] > rows[-1]["sft/valid_nll"]
    assert rows[-1]["progress"] == 1
    samples = read_rows(tmp_path / "samples.jsonl")
    assert {sample["step"] for sample in samples} == {0, 4}
    assert samples[0]["prompt"] == data["valid"][0]["messages"][:-1]
    lineage = json.loads((tmp_path / "model" / "lineage.json").read_text())
    assert (lineage["run"], lineage["seed"], lineage["parents"]) == ("r1", 3, {"model": "v1"})
    assert "run `r1`" in (tmp_path / "model" / "README.md").read_text()
    load_policy(tmp_path / "model")


def test_a_run_by_hand_names_what_it_was_made_from_by_hash(base: Path, tmp_path: Path) -> None:
    """No parents were told: the model is the digest of its folder, and each data file its own."""
    path = make_run(
        tmp_path,
        "sft",
        PRESETS["test"]["sft"],
        data={"train": demonstrations(4)},
        inputs={"model": base},
        parents={},
    )
    assert main(["sft", str(path)]) == 0
    lineage = json.loads((tmp_path / "model" / "lineage.json").read_text())
    assert lineage["parents"] == {"model": digest_folder(base)[0]}
    data = tmp_path / "inputs" / "dataset" / "train.jsonl"
    assert lineage["sha256"] == {"inputs/dataset/train.jsonl": sha256_of(data)}
    assert f"- model: `{digest_folder(base)[0]}`" in (tmp_path / "model" / "README.md").read_text()


def test_the_same_run_twice_gives_the_same_bytes(base: Path, tmp_path: Path) -> None:
    data = {"train": demonstrations(16)}
    config = {**PRESETS["test"]["sft"], "dropout": 0.2}
    weights = [
        (
            run_it(tmp_path / name, "sft", config, data=data, inputs={"model": base})
            / "model"
            / "model.safetensors"
        ).read_bytes()
        for name in ("one", "two")
    ]
    assert weights[0] == weights[1]


def test_the_papers_settings() -> None:
    """InstructGPT appendix C and C.1, the 1.3B model."""
    cfg = preset("instructgpt", "sft")
    assert isinstance(cfg, SFTConfig)
    assert (cfg.lr, cfg.epochs, cfg.batch_size, cfg.dropout) == (9.65e-6, 16, 32, 0.2)
    assert (cfg.lr_schedule, cfg.warmup_steps, cfg.adam_beta1, cfg.adam_beta2) == ("cosine", 0, 0.9, 0.95)
    assert (cfg.max_length, cfg.max_prompt_length, cfg.max_answer_length) == (2048, 1000, 1000)
    assert lr_factor(10**6, 10**6, cfg.lr_schedule, cfg.warmup_steps) == pytest.approx(0.1)


def test_prompts_and_answers_over_their_limits_are_dropped_and_counted(base: Path, tmp_path: Path) -> None:
    data = {"train": demonstrations(16), "valid": demonstrations(16)}
    _, tokenizer = load_policy(base)
    lengths = [
        (len(row.ids) - row.learned_tokens, row.learned_tokens)
        for row in read_all(tmp_path / "all", data["train"], tokenizer)
    ]
    prompt, answer = sorted(p for p, _ in lengths)[8], sorted(a for _, a in lengths)[8]
    config = {**PRESETS["test"]["sft"], "max_prompt_length": prompt, "max_answer_length": answer}
    run_it(tmp_path / "run", "sft", config, data=data, inputs={"model": base})
    dropped = json.loads((tmp_path / "run" / "result.json").read_text())["dropped"]
    long_prompts = sum(p > prompt for p, _ in lengths)
    long_answers = sum(p <= prompt and a > answer for p, a in lengths)
    assert long_prompts
    assert long_answers
    assert (dropped["prompt_too_long"], dropped["answer_too_long"]) == (long_prompts, long_answers)
    assert (dropped["valid_prompt_too_long"], dropped["valid_answer_too_long"]) == (
        long_prompts,
        long_answers,
    )


def read_all(folder: Path, rows: list[dict[str, Any]], tokenizer: Any) -> list[Any]:
    write_rows(folder / "train.jsonl", rows)
    return read_demonstrations(folder, "train.jsonl", tokenizer, 96, len(tokenizer), Dropped())
