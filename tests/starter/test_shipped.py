"""The starter GPT that lies in the repository."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import torch

from inference.engine.chat import render_prompt
from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.folder import check_version_folder
from inference.engine.models import ScalarModel, load_policy
from inference.engine.requests import SampleRequest
from inference.services.bases import STARTER
from labeling.demo.preference import hidden_score
from labeling.demo.prompts import make_prompts
from training.core.config import SFTConfig
from training.core.loop import pad
from training.starter.__main__ import DIALOGUES, INVENTED, ONE_AT_A_TIME, ROOT, SEED
from training.starter.card import held_out
from training.starter.corpus import write_corpus
from training.starter.held_out import measure
from training.starter.pairs import agreement, unpicked

SINCE = {
    "gradient_checkpointing": False, "max_prompt_length": None, "max_answer_length": None, "packing": False,
    "loss_turns": "last", "select": "last", "pretrain_fraction": 0.0, "lora_rank": 0,
}  # fmt: skip
RATED = ROOT / "training/starter/rated/pairs.jsonl"


def test_it_is_safe_small_and_says_what_it_is():
    check_version_folder(STARTER)
    assert sum(path.stat().st_size for path in STARTER.rglob("*")) <= 10_000_000
    card = (STARTER / "README.md").read_text()
    for words in ("toy", "python -m training.starter", "CC-BY-4.0", "Apache-2.0", "bits per byte"):
        assert words in card
    made_with = json.loads((STARTER / "lineage.json").read_text())["config"]
    command = asdict(SFTConfig(**DIALOGUES))
    assert {name: command[name] for name in made_with} == made_with
    # What the trainer has learned since is off, as it was for these weights.
    assert {name: command[name] for name in SINCE} == SINCE
    assert set(command) - set(made_with) - set(SINCE) == {
        "reward_prompts",
        "reward_tokens",
        "no_eos_reward",
        "lora_alpha",
    }


def test_its_card_tells_the_bits_of_these_very_weights(tmp_path: Path):
    write_corpus(tmp_path / "train.jsonl", invented=INVENTED, seed=SEED)
    held = measure(STARTER, tmp_path, seed=SEED, read_later=ONE_AT_A_TIME)
    assert held.dialogues > 300
    assert held_out(held, 0.202) in (STARTER / "README.md").read_text(encoding="utf-8")


def test_it_has_at_most_four_million_weights_and_a_small_vocabulary():
    model, tokenizer = load_policy(STARTER)
    assert sum(weights.numel() for weights in model.parameters()) <= 4_000_000
    assert len(tokenizer) <= 4096


def test_a_reward_model_on_it_starts_with_rewards_of_about_deviation_1():
    _, tokenizer = load_policy(STARTER)
    asked = [
        render_prompt(tokenizer, [{"role": "user", "content": text}]) for text in make_prompts(24, seed=77)
    ]
    ids, mask = pad(asked, torch.device("cpu"))
    with torch.no_grad():
        found = [float(ScalarModel.from_policy(STARTER, seed=s).rewards(ids, mask).std()) for s in range(4)]
    assert 0.5 < fmean(found) < 3


def test_the_rated_pairs_are_its_own_and_the_votes_are_as_told():
    rated = [json.loads(line) for line in RATED.read_text(encoding="utf-8").splitlines()]
    assert [{side: row[side] for side in ("prompt", "A", "B")} for row in rated[:6]] == unpicked(STARTER, 6)
    same, pairs = agreement(RATED)
    assert (same >= 80, pairs) == (True, 100)
    told = (ROOT / "docs/develop/starter.md").read_text(encoding="utf-8")
    assert f"**{same} of {pairs}** pairs" in told
    for votes in Counter((row["rater_1"], row["rater_2"]) for row in rated).items():
        (one, other), count = votes
        assert f"| {one} | {other} | {count} |" in told


def test_its_answers_are_readable_and_of_varied_quality():
    prompts = make_prompts(48, seed=77)
    model, tokenizer = load_policy(STARTER)
    requests = [
        SampleRequest(prompt_ids=tuple(render_prompt(tokenizer, [{"role": "user", "content": p}])), key=p, params=SamplingParams(max_tokens=80), seed=1)
        for p in prompts
    ]  # fmt: skip
    samples = [found[0] for found in TorchEngine(model, tokenizer, slots=24).generate(requests)]
    scores = [hidden_score(prompt, one.text) for prompt, one in zip(prompts, samples, strict=True)]
    assert sum(one.finish_reason == "stop" for one in samples) >= 44
    assert sum(score > 0.9 for score in scores) >= 6
    assert sum(score < 0.75 for score in scores) >= 6
