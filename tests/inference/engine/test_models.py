"""Loading, saving, padding and reading scalar heads."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.activations import NewGELUActivation

from inference.engine.folder import UnsafeModelFolder
from inference.engine.models import (
    ScalarModel,
    disable_dropout,
    load_policy,
    load_scalar,
    position_ids_of,
    random_policy,
    save_policy,
    save_scalar,
)
from inference.engine.tokenizer import train_tokenizer

ROWS = [[9, 8, 7, 4], [5, 6, 4, 0, 11, 12, 300, 4], [17]]  # 4 is EOS and 0 PAD: both may stand inside a row


@pytest.fixture
def folder_of(model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    """Either shape's folder."""
    save_policy(model, tokenizer, tmp_path / "policy")
    return tmp_path / "policy"


@pytest.fixture
def scalar(folder_of: Path) -> ScalarModel:
    return ScalarModel.from_policy(folder_of, seed=3)


def padded(rows: list[list[int]], side: str, fill: int) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows)) + 2
    ids, mask = torch.full((len(rows), longest), fill), torch.zeros(len(rows), longest, dtype=torch.long)
    for place, row in enumerate(rows):
        where = slice(longest - len(row), None) if side == "left" else slice(0, len(row))
        ids[place, where], mask[place, where] = torch.tensor(row), 1
    return ids, mask


def test_a_policy_survives_its_folder(model: Any, folder_of: Path) -> None:
    loaded, tokenizer = load_policy(folder_of)
    assert not loaded.training
    assert loaded.dtype == torch.float32
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    ids = torch.tensor([ROWS[1]])
    assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(input_ids=ids).logits, model(input_ids=ids).logits, rtol=1e-5, atol=1e-5
        )


def test_a_policy_computes_gelu_by_one_kernel_and_keeps_the_word_in_its_config(folder_of: Path) -> None:
    loaded, tokenizer = load_policy(folder_of)
    assert not any(isinstance(module, NewGELUActivation) for module in loaded.modules())
    save_policy(loaded, tokenizer, folder_of.parent / "again")
    was, now = (
        json.loads((folder / "config.json").read_text()) for folder in (folder_of, folder_of.parent / "again")
    )
    assert now.get("activation_function") == was.get("activation_function")


def test_the_dtype_is_float32_unless_asked(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    loaded, _ = load_policy(_saved(model, tokenizer, tmp_path / "a"), dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    again, _ = load_policy(_saved(loaded, tokenizer, tmp_path / "b"))
    assert again.dtype == torch.float32


def _saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    save_policy(model, tokenizer, folder)
    return folder


def test_pad_gets_a_row_of_its_own_where_it_has_none(gpt2: Any, base_tokenizer: Any, tmp_path: Path) -> None:
    loaded, tokenizer = load_policy(_saved(gpt2, base_tokenizer, tmp_path / "base"))
    assert tokenizer.pad_token_id == 512 != tokenizer.eos_token_id
    ids = torch.tensor([ROWS[1]])
    with torch.no_grad():
        grown, before = loaded(input_ids=ids).logits, gpt2(input_ids=ids).logits
        torch.testing.assert_close(grown[..., :512], before, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(grown[..., 512], before.mean(-1), rtol=1e-4, atol=1e-4)
        loaded(input_ids=torch.tensor([[tokenizer.pad_token_id]]))
    again, _ = load_policy(_saved(loaded, tokenizer, tmp_path / "again"))
    assert again.config.vocab_size == 513


def test_a_tokenizer_larger_than_the_embedding_is_refused_with_both_sizes(
    gpt2: Any, tokenizer: Any, larger_tokenizer: Any, tmp_path: Path
) -> None:
    save_scalar(
        ScalarModel.from_policy(_saved(gpt2, tokenizer, tmp_path / "policy")),
        larger_tokenizer,
        tmp_path / "reward",
    )
    _saved(gpt2, larger_tokenizer, tmp_path / "policy")
    for load, folder in (
        (load_policy, "policy"),
        (ScalarModel.from_policy, "policy"),
        (load_scalar, "reward"),
    ):
        with pytest.raises(UnsafeModelFolder, match=r"600 tokens.* 512 rows; give"):
            load(tmp_path / folder)


def test_special_tokens_past_the_embedding_get_rows_and_the_others_stay(
    gpt2: Any, tokenizer: Any, tmp_path: Path
) -> None:
    folder = _saved(gpt2, tokenizer, tmp_path / "marked")
    more = AutoTokenizer.from_pretrained(folder)
    more.add_special_tokens({"extra_special_tokens": ["<image_soft_token>", "<other>"]})
    more.save_pretrained(folder)
    loaded, again = load_policy(folder)
    assert loaded.config.vocab_size == len(again) == 514
    assert torch.equal(loaded.state_dict()["transformer.wte.weight"][:512], gpt2.transformer.wte.weight)


def test_an_embedding_padded_beyond_its_tokenizer_stays_as_it_is(gpt2: Any, tmp_path: Path) -> None:
    words = train_tokenizer(["quite other words, these zebras"], 300)
    loaded, tokenizer = load_policy(_saved(gpt2, words, tmp_path / "padded"))
    assert loaded.config.vocab_size == 512 > len(tokenizer)


def test_a_reward_model_has_a_row_for_the_pad_that_a_policy_may_write(
    gpt2: Any, tokenizer: Any, base_tokenizer: Any, tmp_path: Path
) -> None:
    made = ScalarModel.from_policy(_saved(gpt2, tokenizer, tmp_path / "policy"))
    save_scalar(made, base_tokenizer, tmp_path / "reward")
    reward, with_pad = load_scalar(tmp_path / "reward")
    assert reward.rewards(torch.tensor([[9, with_pad.pad_token_id]]), torch.ones(1, 2)).isfinite().all()


def test_random_policies_are_what_they_say(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        random_policy(tmp_path / name, seed=seed)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    assert torch.equal(state, torch.random.get_rng_state())
    model, tokenizer = load_policy(tmp_path / "a")
    assert 80_000 < sum(p.numel() for p in model.parameters()) < 120_000
    assert model.config.vocab_size == len(tokenizer)


def test_position_ids_count_real_tokens() -> None:
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])
    assert position_ids_of(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("fill", [0, 4, 300])
def test_padding_changes_no_score(scalar: ScalarModel, side: str, fill: int) -> None:
    with torch.no_grad():
        alone = torch.cat([scalar.rewards(torch.tensor([row]), torch.ones(1, len(row))) for row in ROWS])
        together = scalar.rewards(*padded(ROWS, side, fill))
        values = scalar(*padded(ROWS, side, fill))
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    for place, row in enumerate(ROWS):
        where = slice(-len(row), None) if side == "left" else slice(0, len(row))
        torch.testing.assert_close(values[place, where][-1], alone[place], rtol=0, atol=1e-5)
        each = [scalar.rewards(torch.tensor([row[: i + 1]]), torch.ones(1, i + 1)) for i in range(len(row))]
        torch.testing.assert_close(values[place, where], torch.cat(each).detach(), rtol=0, atol=1e-5)


def test_a_row_without_a_token_is_refused(scalar: ScalarModel) -> None:
    with pytest.raises(ValueError, match="attention_mask"):
        scalar.rewards(torch.tensor([[1, 2], [1, 2]]), torch.tensor([[1, 1], [0, 0]]))


def test_the_fresh_head_is_seeded(folder_of: Path) -> None:
    heads = [ScalarModel.from_policy(folder_of, seed=seed).score.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_other_tools_load_the_same_raw_scores_and_the_shift_is_kept(
    scalar: ScalarModel, tokenizer: Any, tmp_path: Path
) -> None:
    scalar.shift = 0.75
    save_scalar(scalar, tokenizer, tmp_path / "reward")
    assert json.loads((tmp_path / "reward/config.json").read_text())["preceptor_reward_shift"] == 0.75
    ids, mask = padded(ROWS[:1] + ROWS[2:], "right", tokenizer.pad_token_id)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward")
    ours, _ = load_scalar(tmp_path / "reward")
    with torch.no_grad():
        raw = theirs(input_ids=ids, attention_mask=mask).logits
        rewards = scalar.rewards(ids, mask)
        assert raw.shape == (2, 1)
        torch.testing.assert_close(raw[:, 0] - 0.75, rewards, rtol=0, atol=1e-6)
        assert torch.equal(ours.rewards(ids, mask), rewards)
    assert ours.shift == 0.75
    assert AutoTokenizer.from_pretrained(tmp_path / "reward").chat_template == tokenizer.chat_template


def test_saving_leaves_the_model_as_it_was_and_can_be_done_while_it_learns(
    scalar: ScalarModel, tokenizer: Any, tmp_path: Path
) -> None:
    scalar.train()
    save_scalar(scalar, tokenizer, tmp_path / "first")
    torch.autograd.backward(scalar.rewards(torch.tensor([[5, 6]]), torch.ones(1, 2)).sum())
    assert scalar.training
    assert all(p.grad is not None for name, p in scalar.named_parameters() if "wpe" not in name)
    with torch.no_grad():
        scalar.score.weight += 1
    save_scalar(scalar, tokenizer, tmp_path / "second")
    second, _ = load_scalar(tmp_path / "second")
    assert torch.equal(second.score.weight, scalar.score.weight)


def test_a_policys_folder_is_no_reward_model(folder_of: Path) -> None:
    with pytest.raises(ValueError, match="reward model"):
        load_scalar(folder_of)


def test_dropout_off_makes_training_mode_deterministic(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    loaded, _ = load_policy(_saved(model, tokenizer, tmp_path / "m"))
    for module in loaded.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
        if hasattr(module, "attention_dropout"):
            module.__dict__["attention_dropout"] = 0.5
    loaded.train()
    ids = torch.tensor([ROWS[1]])
    assert not torch.equal(loaded(input_ids=ids).logits, loaded(input_ids=ids).logits)
    disable_dropout(loaded)
    assert torch.equal(loaded(input_ids=ids).logits, loaded(input_ids=ids).logits)
    assert all("drop" not in name or not value for name, value in loaded.config.to_dict().items())


DROPPING: dict[str, tuple[str, dict[str, Any]]] = {
    "OPT": ("OPTConfig", {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "word_embed_proj_dim": 32, "layerdrop": 0.3}),
    "BioGPT": ("BioGptConfig", {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}),
    "GPTBigCode": ("GPTBigCodeConfig", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96}),
    "StarCoder2": ("Starcoder2Config", {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "residual_dropout": 0.3, "embedding_dropout": 0.3}),
    "Falcon": ("FalconConfig", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_dropout": 0.3, "attention_dropout": 0.3}),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPPING)
def test_dropout_is_off_wherever_an_architecture_keeps_its_rate(name: str) -> None:
    """Some keep plain numbers under names of their own; OPT and BioGPT drop a tenth unless told otherwise."""
    kind, shape = DROPPING[name]
    torch.manual_seed(0)
    config = getattr(transformers, kind)(vocab_size=300, **shape)
    model = AutoModelForCausalLM.from_config(config).train()
    ids = torch.arange(5, 45)[None]
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    disable_dropout(model)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
