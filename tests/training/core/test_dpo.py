"""The DPO stage: what it computes, what it caches, what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from inference.engine.models import load_policy, random_policy
from tests.training.core.conftest import run_it
from tests.training.core.rundirs import load_run, make_run, move, moved_model, rankings
from training.core import dpo
from training.core.__main__ import main
from training.core.checkpoint import TrainingState, own_tensors
from training.core.config import PRESETS, DPOConfig
from training.core.data import Dropped
from training.core.language import head_of
from training.core.loop import make_optimizer
from training.core.preferences import Preference, ReferenceLogprobs, answers_in, read_preferences
from training.core.report import read_rows
from training.core.stage import vocabulary_of

TEST = PRESETS["test"]["dpo"]


def data_of(count: int = 18, held_out: int = 4) -> dict[str, list[dict[str, Any]]]:
    return {"train": rankings(count), "valid": rankings(held_out)}


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {**TEST, "epochs": 10, "batch_size": 6, "lr": 1e-3, "eval_every": 10, "kl_samples": 16}
    return run_it(tmp_path_factory.mktemp("dpo"), "dpo", config, data=data_of(), inputs={"model": base})


def test_it_learns_what_people_prefer(trained: Path) -> None:
    first, *_, last = read_rows(trained / "metrics.jsonl")
    assert first["dpo/valid_accuracy"] == 0.5
    assert first["dpo/valid_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert last["dpo/valid_accuracy"] > 0.9
    assert last["dpo/valid_loss"] < 0.5
    assert last["dpo/valid_margin"] > 0.5
    gaps = [row["dpo/valid_chosen_logp"] - row["dpo/valid_rejected_logp"] for row in (first, last)]
    assert gaps[1] - gaps[0] == pytest.approx(last["dpo/valid_margin"] / DPOConfig().beta, rel=1e-3)
    assert (first["dpo/kl"], first["dpo/kl_se"]) == (0, 0)
    assert last["dpo/kl_se"] > 0


def test_it_starts_at_the_reference_to_the_last_bit(trained: Path) -> None:
    """The reference was read in the shapes of the first epoch, so equal weights give margins of exactly 0."""
    _, first, *_ = read_rows(trained / "metrics.jsonl")
    assert (first["dpo/margin"], first["dpo/accuracy"]) == (0, 0.5)
    assert first["dpo/loss"] == pytest.approx(math.log(2), abs=1e-7)


def test_what_it_publishes(trained: Path, base: Path) -> None:
    result = json.loads((trained / "result.json").read_text())
    assert (result["kind"], result["model"], result["rankings"], result["valid_rankings"]) == (
        "dpo",
        "model",
        18,
        4,
    )
    lineage = json.loads((trained / "model" / "lineage.json").read_text())
    assert (lineage["kind"], lineage["parents"]) == ("dpo", {"model": "v1"})
    assert "A policy trained with DPO" in (trained / "model" / "README.md").read_text()
    policy, _ = load_policy(trained / "model")
    start, _ = load_policy(base)
    assert any(
        not a.equal(b) for a, b in zip(own_tensors(policy).values(), own_tensors(start).values(), strict=True)
    )
    assert len({row["prompt"][0]["content"] for row in read_rows(trained / "samples.jsonl")}) == 4


# --- one step, looked at closely ------------------------------------------------------------------------------------


class Desk:
    """A policy that has moved away from its reference, the rankings, and the cache of the reference."""

    def __init__(self, base: Path, folder: Path, **config: Any) -> None:
        run = load_run(folder, "dpo", {**TEST, **config}, data=data_of(), inputs={"model": base})
        self.cfg = cast(DPOConfig, run.config)
        self.policy, self.reference, tokenizer = dpo.load_models(run, torch.device("cpu"))
        self.rows: list[Preference] = read_preferences(
            run.input("dataset"), "train.jsonl", tokenizer, 128, vocabulary_of(self.policy), Dropped()
        )
        move(self.policy, by=0.02)
        self.cache = ReferenceLogprobs(answers_in(self.rows))
        dpo.fill(self.cache, self.reference, self.rows, [], self.cfg, 0)

    def gradient(self, rows: list[Preference]) -> torch.Tensor:
        state = TrainingState(modules={}, optimizer=make_optimizer([(self.policy, 0.0)], self.cfg))
        seen: list[torch.Tensor] = []
        state.optimizer.register_step_pre_hook(
            lambda *_: seen.append(
                torch.cat([p.grad.flatten() for p in self.policy.parameters() if p.grad is not None])
            )
        )
        dpo.update(self.policy, rows, self.cache, state, self.cfg, 1.0)
        return seen[0].clone()


def test_cached_reference_log_probabilities_are_the_uncached_ones_bit_for_bit(
    base: Path, tmp_path: Path
) -> None:
    desk = Desk(base, tmp_path)
    for batch in dpo.batches_of(desk.rows, desk.cfg, 0, 0):
        for part in dpo.parts_of([desk.rows[i] for i in batch], desk.cfg):
            with torch.no_grad():
                assert desk.cache.of(part).equal(dpo.answer_logps(desk.reference, part, desk.cfg))


def test_every_answer_is_read_once_by_each_model(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K rows for a ranking of K answers, where pairs would take K (K - 1); the reference's once for all epochs."""
    rows = {"policy": 0, "reference": 0}
    load_models = dpo.load_models

    def watched(*arguments: Any) -> Any:
        policy, reference, tokenizer = load_models(*arguments)
        for name, model in (("policy", policy), ("reference", reference)):
            head_of(model)  # Asked once, before the counting.

            def count(_: Any, ids: Any, __: Any, name: str = name) -> None:
                # The samples to look at are drawn without gradients.
                if name == "reference" or torch.is_grad_enabled():
                    rows[name] += len(ids[0])

            model.get_input_embeddings().register_forward_hook(count)
        return policy, reference, tokenizer

    monkeypatch.setattr(dpo, "load_models", watched)
    config = {**TEST, "epochs": 3, "kl_samples": 0}
    run_it(tmp_path, "dpo", config, data={"train": rankings(6)}, inputs={"model": base})
    assert rows == {"policy": 3 * 6 * 4, "reference": 6 * 4}


@pytest.mark.parametrize("loss", ["pairs", "plackett_luce"])
def test_micro_batches_change_nothing(loss: str, base: Path, tmp_path: Path) -> None:
    """Rankings of different K, lengths and weights: one denominator for the whole batch."""
    gradients = []
    for budget in (16, 600, 100_000):
        desk = Desk(base, tmp_path / str(budget), loss=loss, micro_batch_tokens=budget)
        gradients.append(desk.gradient(desk.rows[:6]))
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-5, atol=1e-6)


def test_a_ranking_seen_twice_in_a_batch_weighs_as_one_of_weight_two(base: Path, tmp_path: Path) -> None:
    desk = Desk(base, tmp_path)
    one, other = desk.rows[0], desk.rows[1]
    alone = desk.gradient([one]), desk.gradient([other])
    torch.testing.assert_close(
        desk.gradient([one, one, other]), (2 * alone[0] + alone[1]) / 3, rtol=1e-4, atol=1e-6
    )


def plain_logps(model: PreTrainedModel, row: Preference) -> list[float]:
    found = []
    for answer in row.ranking.answers:
        with torch.no_grad():
            whole = model(input_ids=torch.tensor([answer])).logits[0].double().log_softmax(-1)
        found.append(sum(float(whole[t - 1, answer[t]]) for t in range(row.prompt_tokens, len(answer))))
    return found


def test_only_the_answer_counts_and_its_end_too(base: Path, tmp_path: Path) -> None:
    desk = Desk(base, tmp_path)
    (row,) = desk.rows[:1]
    with torch.no_grad():
        found = dpo.answer_logps(desk.policy, [row], desk.cfg).tolist()
    assert found == pytest.approx(plain_logps(desk.policy, row), abs=1e-4)


def test_the_reference_is_the_one_that_the_run_names(base: Path, tmp_path: Path) -> None:
    """In later rounds that is the chain's SFT and not the policy's start: the cache, and the distance before any step."""
    inputs = {"model": base, "reference": moved_model(base, tmp_path / "reference")}
    run_it(tmp_path / "run", "dpo", TEST, data=data_of(4, 0), inputs=inputs)
    cache = load_file(tmp_path / "run" / "step-1" / "tensors.safetensors")["module/reference_logprobs/logp"]
    reference, tokenizer = load_policy(inputs["reference"])
    data = tmp_path / "run" / "inputs" / "dataset"
    rows = read_preferences(data, "train.jsonl", tokenizer, 128, vocabulary_of(reference), Dropped())
    expected = [logp for row in rows for logp in plain_logps(reference, row)]
    assert cache.tolist() == pytest.approx(expected, abs=1e-4)
    assert abs(read_rows(tmp_path / "run" / "metrics.jsonl")[0]["dpo/kl"]) > 0.1


def test_token_ids_are_taken_as_they_were_sampled(base: Path, tmp_path: Path) -> None:
    rows = rankings(4)
    odd = [ord("h") + 3, 9, 9, 5, 7]
    rows[0]["responses"][0]["token_ids"] = odd
    run = load_run(tmp_path, "dpo", TEST, data={"train": rows}, inputs={"model": base})
    policy, _, tokenizer = dpo.load_models(run, torch.device("cpu"))
    read = read_preferences(
        run.input("dataset"), "train.jsonl", tokenizer, 128, vocabulary_of(policy), Dropped()
    )
    assert read[0].ranking.answers[0][read[0].prompt_tokens :] == odd


# --- what is refused ------------------------------------------------------------------------------------------------


def error_of(folder: Path, code: int = 1) -> dict[str, Any]:
    error: dict[str, Any] = json.loads((folder / "error.json").read_text())
    assert not (folder / "model").exists()
    return error


def test_a_reference_of_another_tokenizer_is_refused(base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    random_policy(other, layers=1, width=32, heads=2, context=96, vocab=400)
    inputs = {"model": base, "reference": other}
    assert main(["dpo", str(make_run(tmp_path / "run", "dpo", TEST, data=data_of(), inputs=inputs))]) == 1
    assert error_of(tmp_path / "run")["code"] == "tokenizer_mismatch"


def test_rankings_without_a_preference_are_refused(base: Path, tmp_path: Path) -> None:
    rows = rankings(2)
    for row in rows:
        row["ranks"] = dict.fromkeys(row["ranks"], 1)
    path = make_run(tmp_path, "dpo", TEST, data={"train": rows}, inputs={"model": base})
    assert main(["dpo", str(path)]) == 1
    error = error_of(tmp_path)
    assert error["code"] == "empty_dataset"
    assert "rankings_all_tied: 2" in error["message"]


def test_two_prompts_under_one_id_are_refused(base: Path, tmp_path: Path) -> None:
    rows = rankings(2)
    rows[1]["id"] = rows[0]["id"]
    path = make_run(tmp_path, "dpo", TEST, data={"train": rows}, inputs={"model": base})
    assert main(["dpo", str(path)]) == 1
    assert error_of(tmp_path)["code"] == "bad_dataset"


def test_label_smoothing_belongs_to_pairs() -> None:
    with pytest.raises(ValueError, match="Remedy"):
        DPOConfig(loss="plackett_luce", label_smoothing=0.1)
