"""E2: whole rankings, all pairs, and prompts read once for all their answers are one loss and one gradient; tokens are counted."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from transformers import GPT2Config, GPT2Model, LlamaConfig, LlamaModel

from inference.engine.models import ScalarModel
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import load_run, rankings
from training.core import reward_scores, shared_prefix
from training.core.config import PRESETS, RewardConfig
from training.core.data import Ranking
from training.core.errors import RunError
from training.core.report import read_rows
from training.core.reward import train_reward
from training.core.reward_batches import layout_of, parts_of
from training.core.reward_scores import choose_way, difference, losses_of, scores_of, weighted_loss

CONTEXT = 64
CFG = RewardConfig()


def scalar(shape: str) -> ScalarModel:
    """A tiny random backbone of either shape; Llama with two query heads for each of its key heads."""
    torch.manual_seed(7)
    if shape == "gpt2":
        config = GPT2Config(vocab_size=50, n_layer=2, n_embd=32, n_head=4, n_positions=CONTEXT, bos_token_id=None, eos_token_id=None, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)  # fmt: skip
        backbone: Any = GPT2Model(config)
    else:
        backbone = LlamaModel(LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=CONTEXT,
        ))  # fmt: skip
    return ScalarModel(backbone, nn.Linear(32, 1, bias=False))


def ragged(
    count: int, *, seed: int = 3, twins: bool = True, sizes: Sequence[int] = range(2, 7)
) -> list[Ranking]:
    """Rankings of some sizes; prompts and answers of many lengths, up to the whole context; every other prompt comes twice."""
    rng = random.Random(seed)
    ids = lambda n: [rng.randrange(50) for _ in range(n)]  # noqa: E731
    rows = []
    for n in range(count):
        prompt = ids(rng.randint(1, 30))
        for twin in range(2 if twins and n % 2 else 1):
            k = rng.choice(sizes)
            cut = [ids(rng.randint(1, CONTEXT - len(prompt) if i == 0 else 12)) for i in range(k)]
            ranks = rng.sample(range(1, k + 1), k)
            ranks[0] = ranks[-1] if k > 3 else ranks[0]  # a tie
            rows.append(
                Ranking(f"{n}.{twin}", [prompt + a for a in cut], ranks, 1.0, prompt_tokens=len(prompt))
            )
    return rows


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def pairs_loss(model: ScalarModel, rows: list[Ranking]) -> tuple[Tensor, int]:
    """Each pair by two rows of its own without padding, as trainers on pairs do; and the tokens that this reads."""
    total, tokens = torch.zeros(()), 0
    for row in rows:
        pairs = [(i, j) for i, j in combinations(range(len(row.ranks)), 2) if row.ranks[i] != row.ranks[j]]
        for i, j in pairs:
            better, worse = (i, j) if row.ranks[i] < row.ranks[j] else (j, i)
            scores = [
                model.rewards(torch.tensor([row.answers[a]]), torch.ones(1, len(row.answers[a])))
                for a in (better, worse)
            ]
            total = total - logsigmoid(scores[0] - scores[1]).sum() / len(pairs) / len(rows)
            tokens += len(row.answers[i]) + len(row.answers[j])
    return total, tokens


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_pairs_whole_rankings_and_shared_prompts_are_one_loss_and_one_gradient(shape: str) -> None:
    model, rows = scalar(shape), ragged(7) + ragged(1, seed=4, sizes=[9])
    by_pairs, _ = pairs_loss(model, rows)
    expected = gradient(model, by_pairs)
    for shared in (False, True):
        loss = weighted_loss(scores_of(model, rows, CFG, shared=shared), rows, CFG, len(rows))
        found = gradient(model, loss)
        assert float(loss.detach()) == pytest.approx(float(by_pairs.detach()), abs=1e-6)
        assert float((found - expected).norm() / expected.norm()) <= 1e-5


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_shared_scores_do_not_depend_on_who_else_is_there(shape: str) -> None:
    """Alone (nothing is padded), together, and through plain rows."""
    model, rows = scalar(shape), ragged(6)
    with torch.no_grad():
        together = scores_of(model, rows, CFG, shared=True).scores
        plain = scores_of(model, rows, CFG).scores
        assert float((together - plain).abs().max()) <= 1e-5
        for b, row in enumerate(rows):
            alone = scores_of(model, [row], CFG, shared=True).scores[0]
            assert float((alone - together[b, : len(row.ranks)]).abs().max()) <= 1e-5


def tokens_through(model: ScalarModel, do: Any) -> int:
    """Positions that pass the backbone, padding included."""
    seen: list[int] = []
    hook = model.backbone.register_forward_pre_hook(
        lambda _m, _a, kw: seen.append(kw["input_ids"].numel()), with_kwargs=True
    )
    do()
    hook.remove()
    return sum(seen)


@pytest.mark.parametrize(("p", "c", "k"), [(16, 16, 4), (16, 16, 9), (40, 10, 9)])
def test_backbone_tokens_are_prompt_plus_answers(p: int, c: int, k: int) -> None:
    """P + K C shared, K (P + C) plain, K (K - 1) (P + C) by pairs; counted at the backbone's own door."""
    rng = random.Random(0)
    prompts = [[rng.randrange(50) for _ in range(p)] for _ in range(3)]
    rows = [
        Ranking(str(n), [x + [rng.randrange(50) for _ in range(c)] for _ in range(k)], list(range(k)), 1.0, prompt_tokens=p)
        for n, x in enumerate(prompts)
    ]  # fmt: skip
    model = scalar("gpt2")
    with torch.no_grad():
        assert tokens_through(model, lambda: scores_of(model, rows, CFG, shared=True)) == 3 * (p + k * c)
        assert tokens_through(model, lambda: scores_of(model, rows, CFG)) == 3 * k * (p + c)
        assert tokens_through(model, lambda: pairs_loss(model, rows)) == 3 * k * (k - 1) * (p + c)
    assert layout_of(rows).tokens(shared=True) == 3 * (p + k * c)
    assert layout_of(rows).tokens(shared=False) == 3 * k * (p + c)


def test_what_several_people_ranked_is_read_once() -> None:
    """Three labelers of the same five answers: one prompt, five answers; and the loss is that of three rankings."""
    (row,) = ragged(1, twins=False)
    three = [
        row,
        *(Ranking(f"other{n}", row.answers[::-1], row.ranks, 1.0, row.prompt_tokens) for n in range(2)),
    ]
    model, (whole,) = scalar("gpt2"), parts_of(three, 10_000, shared=True)
    layout = layout_of([three[i] for i in whole])
    assert (len(layout.prompts), len(layout.answers)) == (1, len(row.answers))
    assert layout.tokens(shared=True) == layout_of([row]).tokens(shared=True)
    with torch.no_grad():
        together = losses_of(scores_of(model, three, CFG, shared=True), CFG)
        alone = torch.cat([losses_of(scores_of(model, [one], CFG), CFG) for one in three])
    assert float((together - alone).abs().max()) <= 1e-6


def test_a_prompt_given_twice_changes_nothing() -> None:
    """Item 24: every ranking twice is the same mean loss and gradient, at the same backbone tokens."""
    model, rows = scalar("llama"), ragged(4)
    found = []
    for batch in (rows, rows + rows):
        scored = scores_of(model, batch, CFG, shared=True)
        loss = weighted_loss(scored, batch, CFG, len(batch))
        found.append((float(loss.detach()), gradient(model, loss), scored.tokens))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert float((found[0][1] - found[1][1]).norm() / found[0][1].norm()) <= 1e-5
    assert found[0][2] == found[1][2]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("budget", [16, 150, 600])
def test_parts_keep_prompts_whole_and_fit_the_budget(shared: bool, budget: int) -> None:
    rows = ragged(9)
    parts = parts_of(rows, budget, shared=shared)
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    homes = [{rows[i].prompt for i in part} for part in parts]
    assert all(not (one & other) for one, other in combinations(homes, 2))
    for part, home in zip(parts, homes, strict=True):
        layout = layout_of([rows[i] for i in part])
        if shared:
            widest = max(len(layout.cut(n)) for n in range(len(layout.answers)))
            size = len(layout.answers) * widest + len(layout.prompts) * max(map(len, layout.prompts))
        else:
            size = len(layout.answers) * max(len(ids) for _, ids in layout.answers)
        assert size <= budget or len(home) == 1


def test_passes_over_answers_waste_little() -> None:
    lengths = [400, 390, 20, 380, 21, 19, 200, 18, 205, 17, 16, 380, 150]
    passes = list(shared_prefix.answer_passes(lengths))
    assert sorted(i for part in passes for i in part) == list(range(len(lengths)))
    for part in passes:
        padded = max(lengths[i] for i in part) * len(part)
        waste = padded - sum(lengths[i] for i in part)
        assert padded <= shared_prefix.SMALL_PASS or waste <= shared_prefix.PADDING_SHARE * padded
    assert len(passes) < 6  # and small ones are not cut to pieces


# --- the check on the first batch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_the_check_finds_nothing_where_nothing_is_wrong(shape: str) -> None:
    model, rows = scalar(shape), ragged(8)
    scores, gradients = difference(model, rows, RewardConfig(micro_batch_tokens=300))
    assert 0 <= scores <= 1e-5
    assert 0 < gradients <= 1e-5
    assert all(p.grad is None for p in model.parameters())
    assert choose_way(model, rows, CFG, CONTEXT, held=None).used


@pytest.mark.parametrize("fault", ["mask", "positions", "gradient"])
def test_a_wrong_shared_pass_is_found_and_plain_rows_are_used(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = scalar("gpt2"), ragged(8)
    if fault == "mask":  # Answers see the padding of shorter prompts.
        honest = shared_prefix._answer_mask
        monkeypatch.setattr(
            shared_prefix, "_answer_mask", lambda mask, *rest: honest(torch.ones_like(mask), *rest)
        )
    elif fault == "positions":  # Answers are counted from 0.
        model.backbone.register_forward_pre_hook(
            lambda _m, a, kw: (a, kw | {"position_ids": kw["position_ids"] - kw["position_ids"][:, :1]}),
            with_kwargs=True,
        )
    else:  # No gradient gets through the prompts' keys: the scores are right.
        update = shared_prefix.PrefixLayer.lazy_initialization
        monkeypatch.setattr(
            shared_prefix.PrefixLayer,
            "lazy_initialization",
            lambda self, keys, values: update(self, keys.detach(), values.detach()),
        )
    found = choose_way(model, rows, CFG, CONTEXT, held=None)
    assert not found.used
    assert "differ" in found.reason
    assert (found.score_error or 0) <= 1e-5 if fault == "gradient" else (found.score_error or 0) > 1e-3
    with pytest.raises(RunError, match="Prompts cannot be shared") as refused:
        choose_way(model, rows, RewardConfig(shared_prefix="on"), CONTEXT, held=None)
    assert refused.value.code == "shared_prefix"


def test_a_model_that_cannot_share_is_told_apart() -> None:
    model, rows = scalar("gpt2"), ragged(3)
    assert "longer than" in choose_way(model, rows, CFG, CONTEXT + 1, held=None).reason
    assert not choose_way(model, rows, CFG, CONTEXT, held=0.0).used
    assert not choose_way(model, rows, RewardConfig(shared_prefix="off"), CONTEXT, held=None).used
    model.backbone.register_forward_pre_hook(
        lambda _m, a, kw: (a, {k: v for k, v in kw.items() if k != "past_key_values"}), with_kwargs=True
    )
    assert "takes no shared prompt" in choose_way(model, rows, CFG, CONTEXT, held=None).reason


def test_a_run_says_whether_prompts_were_shared(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published weights are the same to rounding; a run whose check fails goes on with plain rows and says so."""
    config = {**PRESETS["test"]["reward"], "micro_batch_tokens": 300}
    options: dict[str, Any] = {
        "data": {"train": rankings(12), "valid": rankings(3)},
        "inputs": {"model": base},
    }
    found = {}
    for name in ("auto", "off", "failing"):
        if name == "failing":
            monkeypatch.setattr(reward_scores, "SCORE_TOLERANCE", {False: -1.0})
        way = {"shared_prefix": "off" if name == "off" else "auto"}
        folder = run_it(tmp_path / name, "reward", config | way, **options)
        found[name] = json.loads((folder / "result.json").read_text()), read_rows(folder / "metrics.jsonl")
    assert [found[name][1][-1]["reward/shared_prefix"] for name in found] == [1, 0, 0]
    assert found["auto"][1][0]["reward/shared_prefix_error"] <= 1e-5
    assert "differ" in found["failing"][0]["shared_prefix"]["reason"]
    last = [found[name][0]["metrics"] for name in ("auto", "off")]
    assert last[0]["reward/valid_loss"] == pytest.approx(last[1]["reward/valid_loss"], abs=1e-5)
    assert last[0]["reward/backbone_tokens"] < last[1]["reward/backbone_tokens"]


def test_on_ends_the_run_before_anything_is_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_scores, "SCORE_TOLERANCE", {False: -1.0})
    config = {**PRESETS["test"]["reward"], "shared_prefix": "on"}
    with pytest.raises(RunError, match="plain rows"):
        train_reward(
            load_run(tmp_path, "reward", config, data={"train": rankings(6)}, inputs={"model": base})
        )
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_bfloat16_shares_within_its_own_tolerance(shape: str) -> None:
    cfg = RewardConfig(autocast_bf16=True)
    found = choose_way(scalar(shape), ragged(6), cfg, CONTEXT, held=None)
    assert found.used, found.reason
    # It really is bfloat16. Where a CPU has no such products, both ways may round scores alike, but never all gradients.
    assert (found.gradient_error or 0) > 1e-4


@pytest.mark.parametrize("shared", [False, True])
def test_scores_are_handed_out_in_float32_under_autocast(shared: bool) -> None:
    """So that what is made of them, differences and losses, is too."""
    scored = scores_of(scalar("gpt2"), ragged(3), RewardConfig(autocast_bf16=True), shared=shared)
    assert torch.finfo(scored.scores.dtype).bits == 32
