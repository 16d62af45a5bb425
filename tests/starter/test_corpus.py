"""The starter's pretraining corpus."""

import json
from statistics import fmean

from labeling.demo.preference import hidden_score
from training.starter.corpus import MOST_CHARACTERS, invented_dialogues, real_dialogues, write_corpus


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_corpus(tmp_path / name, invented=300, seed=1)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_rows_are_dialogues_that_end_with_an_answer(tmp_path):
    count = write_corpus(tmp_path / "train.jsonl", invented=200, seed=0)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert len(rows) == count
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    assert all(turn["content"].strip() for row in rows for turn in row["messages"])


def test_answers_are_a_mixed_bag():
    scores = [
        hidden_score(prompt["content"], answer["content"])
        for prompt, answer in invented_dialogues(600, seed=2)
    ]
    assert 0.2 < fmean(score > 0.95 for score in scores) < 0.6
    assert fmean(score < 0.7 for score in scores) > 0.2


def test_real_dialogues_are_there_and_fit_the_context():
    dialogues = list(real_dialogues())
    assert len(dialogues) > 300
    assert max(sum(len(turn["content"].encode()) for turn in turns) for turns in dialogues) <= MOST_CHARACTERS
