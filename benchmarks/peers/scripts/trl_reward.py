"""TRL's RewardTrainer on all pairs of whole rankings."""

from __future__ import annotations

import tempfile
from itertools import combinations
from typing import Any

from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer

from benchmarks.peers.scripts.child import Clock, Job, Result, arguments, serve, warm_up


def pairs_of(ranking: dict[str, Any]) -> list[dict[str, list[int]]]:
    """Every pair of answers that the ranking has put in an order."""
    answers, ranks = ranking["answers"], ranking["ranks"]
    return [
        {"chosen_ids": answers[i], "rejected_ids": answers[j]}
        if ranks[i] < ranks[j]
        else {"chosen_ids": answers[j], "rejected_ids": answers[i]}
        for i, j in combinations(range(len(ranks)), 2)
        if ranks[i] != ranks[j]
    ]


def train(job: Job) -> Result:
    """One pass over the pairs of job["rankings"] = [{answers, ranks}, ...]; job["save"] is where the model goes, if anywhere."""
    model = AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=1, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    model.config.pad_token_id = tokenizer.pad_token_id
    warm_up(model, job["rankings"][0]["answers"][0])
    pairs = [pair for ranking in job["rankings"] for pair in pairs_of(ranking)]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(**arguments(job, folder), max_length=None, num_train_epochs=1)
        trainer = RewardTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()
    if job.get("save"):
        model.save_pretrained(job["save"])
        tokenizer.save_pretrained(job["save"])
    return clock.result() | {"steps": trainer.state.global_step, "pairs": len(pairs)}


if __name__ == "__main__":
    serve(train)
