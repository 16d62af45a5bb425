"""E3 of SFT: a demonstration is read the same alone, padded on either side, packed, in any micro-batch and in any order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MambaConfig, MambaForCausalLM

from tests.training.core.conftest import run_it
from tests.training.core.rundirs import demonstrations
from tests.training.core.test_layout import Frozen, assert_close, gradient_of
from tests.training.core.test_vocabulary import MODELS
from training.core import sft
from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.data import Demonstration
from training.core.errors import RunError
from training.core.language import logprobs_at
from training.core.packing import best_fit, check_packing, lay_out, pack
from training.core.report import read_rows
from training.core.stage import token_logprobs_of


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def dialogues(count: int = 9) -> list[Demonstration]:
    """Of many lengths, some with two turns to learn; PAD and EOS ids stand in prompts and answers alike."""
    rng, found = random.Random(0), []
    for n in range(count):
        prompt, answer = rng.randrange(2, 9), rng.randrange(1, 12)
        ids = [rng.choice([0, 4, rng.randrange(300)]) for _ in range(prompt + answer)]
        learned: tuple[tuple[int, int], ...] = ((prompt, prompt + answer),)
        if n % 3 == 0 and prompt > 4:
            learned = ((2, 4), *learned)
        found.append(Demonstration(str(n), ids, learned, 1))
    return found


def learned_logprobs(model: Any, rows: list[list[Demonstration]]) -> Tensor:
    with torch.no_grad():
        return logprobs_at(model, *lay_out(rows, model.device))[0]


def test_log_probabilities_do_not_depend_on_the_layout(model: Any) -> None:
    rows = dialogues()
    alone = torch.cat([learned_logprobs(model, [[row]]) for row in rows])
    assert_close(alone, learned_logprobs(model, [[row] for row in rows]), within=1e-6)  # right padding
    assert_close(alone, learned_logprobs(model, [rows]), within=1e-6)  # all in one row
    assert_close(alone, learned_logprobs(model, [rows[:2], rows[2:3], rows[3:]]), within=1e-6)

    width = max(len(row.ids) for row in rows)
    ids, mask, wanted = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(3))
    for b, row in enumerate(rows):  # left padding
        shift = width - len(row.ids)
        ids[b, shift:] = torch.tensor(row.ids)
        mask[b, shift:] = 1
        for start, stop in row.learned:
            wanted[b, shift + start : shift + stop] = 1
    with torch.no_grad():
        left = token_logprobs_of(model, ids, mask, wanted)[0]
    assert_close(alone, left[wanted.bool()], within=1e-6)


def test_a_packed_neighbour_is_not_seen(model: Any) -> None:
    """Other words beside it change nothing, to the bit, and so do other words after it."""
    first, second, *_ = dialogues()
    changed = Demonstration("x", [(token + 7) % 300 for token in second.ids], second.learned, 1)
    n = first.learned_tokens
    assert torch.equal(
        learned_logprobs(model, [[first, second]])[:n], learned_logprobs(model, [[first, changed]])[:n]
    )
    assert torch.equal(
        learned_logprobs(model, [[second, first]])[-n:], learned_logprobs(model, [[changed, first]])[-n:]
    )


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 4, 100])
@pytest.mark.parametrize("packing", [False, True])
def test_loss_and_gradients_do_not_depend_on_packing_micro_batch_or_order(
    model: Any, packing: bool, rows_at_a_time: int
) -> None:
    rows = dialogues()
    alone = sum((sft.answer_nll(model, [row], SFTConfig()) for row in rows), start=torch.zeros(()))
    loss = alone / sft.answer_tokens(rows)
    loss.backward()
    expected = gradient_of(model)
    cfg = SFTConfig(
        packing=packing, micro_batch_tokens=max(16, rows_at_a_time * max(len(r.ids) for r in rows))
    )
    for batch in (rows, sorted(rows, key=lambda row: len(row.ids))):
        state = TrainingState(modules={"model": model}, optimizer=Frozen(model))
        numbers = sft.update(model, batch, state, cfg, 1.0)
        assert numbers["sft/loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
        assert_close(expected, gradient_of(model), within=1e-5)


def test_rows_are_filled_best_fit_from_long_to_short() -> None:
    assert best_fit([5, 9, 4, 2, 3, 9], 9) == [[1], [5], [0, 2], [4, 3]]
    assert best_fit([3, 3, 3], 6) == [[0, 1], [2]]
    lengths = [random.Random(n).randrange(1, 60) for n in range(200)]
    rows = pack(lengths)
    assert sorted(i for row in rows for i in row) == list(range(200))
    assert sum(lengths) / (len(rows) * max(sum(lengths[i] for i in row) for row in rows)) > 0.95
    assert pack(lengths) == rows
    assert (
        len(pack([6, 6, 6, 6, 10])) == 3
    )  # 10 + 6 and 6 + 6 and 6 in rows of 16: alone they would take 50 positions.


def test_an_architecture_that_cannot_be_packed_is_refused(model: Any) -> None:
    check_packing(model, dialogues())
    with pytest.raises(RunError, match="reads packed demonstrations otherwise"):
        check_packing(mamba(), dialogues())


def mamba() -> Any:
    torch.manual_seed(0)
    shape = MambaConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, state_size=4, initializer_range=0.5
    )
    return MambaForCausalLM(shape).eval()


def test_packing_trains_on_the_same_steps_with_less_padding(base: Path, tmp_path: Path) -> None:
    found = {}
    for packing in (False, True):
        config = {"packing": packing, "sort_window": 1, "batch_size": 8, "epochs": 1, "lr": 1e-3}
        data = {"train": demonstrations(24), "valid": demonstrations(8)}
        run_it(tmp_path / str(packing), "sft", config, data=data, inputs={"model": base})
        found[packing] = read_rows(tmp_path / str(packing) / "metrics.jsonl")
    for padded, packed in zip(found[False][1:], found[True][1:], strict=True):
        assert packed["sft/tokens"] == padded["sft/tokens"]
        assert packed["sft/loss"] == pytest.approx(padded["sft/loss"], rel=1e-5)
        assert packed["sft/padding_share"] <= padded["sft/padding_share"]
    shares = {packing: sum(row["sft/padding_share"] for row in rows[1:]) for packing, rows in found.items()}
    assert shares[True] < 0.6 * shares[False]
    assert found[True][-1]["sft/valid_nll"] == pytest.approx(found[False][-1]["sft/valid_nll"], rel=1e-5)
