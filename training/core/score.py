"""Rewards and distances of answers that are there already: no learning, no model is made.

    python -m training.core score runs/7/run.json

inputs: reward, reference, dataset/train.jsonl with {"id", "prompt": [messages], "completion_ids": [..], "logprobs": [..],
"finish_reason": "stop" | "length"}. Without a finish_reason, an answer is finished where it ends with an id that ends answers.
Writes scores.jsonl, one line an answer in the order of the data set: {"id", "reward", "kl", "tokens"}. `kl` is the summed
log-ratio of the model that wrote the answer to the reference, in nats; its mean over answers estimates the KL without bias.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.engine import ends_of
from inference.engine.models import ScalarModel, disable_dropout
from training.core.cards import versions
from training.core.config import ScoreConfig
from training.core.data import Dropped, Prompt, bad_row, messages_of, prompt_ids, require_some, rows_of
from training.core.loop import micro_batches, pad, prepare
from training.core.rollout import Rollout, answer_logprobs, check_scores
from training.core.run_folder import Run, fsync_path
from training.core.stage import (
    check_same_tokenizer,
    context_of,
    load_policy_input,
    load_scalar_input,
    vocabulary_of,
)

SCORES = "scores.jsonl"


def score_completions(run: Run) -> dict[str, Any]:
    """Score every answer of the data set; returns what result.json holds."""
    began = time.monotonic()
    cfg, device = cast(ScoreConfig, run.config), prepare(run)
    reference, tokenizer = load_policy_input(run, "reference", device)
    reward, other = load_scalar_input(run, "reward", device)
    check_same_tokenizer(tokenizer, other, "The reference and the reward model")
    for model in (reference, reward):
        disable_dropout(model.eval())
    dropped = Dropped()
    rollout, ids = read_answers(run.input("dataset"), tokenizer, reference, reward, dropped)
    require_some(ids, "answers", dropped)
    rows = score_rows(rollout, ids, reference, reward, cfg)
    _write(run.folder / SCORES, rows)
    return {
        "kind": run.kind,
        "steps": 1,
        "metrics": {"score/reward": fmean(r["reward"] for r in rows), "score/answers": len(rows)},
        "dropped": dict(dropped),
        "seconds": round(time.monotonic() - began, 3),
        "versions": versions(),
    }


def read_answers(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    reference: PreTrainedModel,
    reward: ScalarModel,
    dropped: Dropped,
) -> tuple[Rollout, list[str]]:
    """The answers as they were sampled, and their ids. Counts `too_long`: what a model cannot read has no score."""
    limit, vocabulary = min(context_of(reference), context_of(reward)), vocabulary_of(reference)
    ends = ends_of(reference, tokenizer)
    found = Rollout(prompts=[], answers=[], sampler_logprobs=[], finished=[], texts=[])
    ids: list[str] = []
    for where, row in rows_of(folder, "train.jsonl"):
        messages = messages_of(row, "prompt", where)
        prompt = Prompt(str(row["id"]), messages, prompt_ids(tokenizer, messages, where))
        answer, logprobs = _answer(row, vocabulary, where)
        if len(prompt.ids) + len(answer) > limit:
            dropped["too_long"] += 1
            continue
        found.prompts.append(prompt)
        found.answers.append(answer)
        found.sampler_logprobs.append(logprobs)
        found.finished.append(_finished(row, answer, ends, where))
        found.texts.append("")
        ids.append(prompt.id)
    return found, ids


@torch.no_grad()
def score_rows(
    rollout: Rollout, ids: Sequence[str], reference: PreTrainedModel, reward: ScalarModel, cfg: ScoreConfig
) -> list[dict[str, Any]]:
    """One row an answer, in the order of `rollout`."""
    rows: list[dict[str, Any]] = [{} for _ in ids]
    for part in micro_batches(range(len(ids)), rollout.cost, cfg.micro_batch_tokens):
        tokens, mask = pad([rollout.sequence(i) for i in part], reference.device)
        scores_B = reward.rewards(tokens, mask).double()
        check_scores(scores_B)
        scores = scores_B.tolist()
        width = max(len(rollout.answers[i]) for i in part)
        logprobs = answer_logprobs(reference, rollout, part, width)[0].double().tolist()
        for place, i in enumerate(part):
            n = len(rollout.answers[i])
            unfinished = cfg.no_eos_reward is not None and not rollout.finished[i]
            rows[i] = {
                "id": ids[i],
                "reward": cfg.no_eos_reward if unfinished else scores[place],
                "kl": sum(rollout.sampler_logprobs[i]) - sum(logprobs[place][:n]),
                "tokens": n,
            }
    return rows


def _answer(row: dict[str, Any], vocabulary: int, where: str) -> tuple[list[int], list[float]]:
    ids, logprobs = row.get("completion_ids"), row.get("logprobs")
    if not isinstance(ids, list) or not ids or not all(type(i) is int and 0 <= i < vocabulary for i in ids):
        raise bad_row(where, "has no completion_ids within the model's vocabulary")
    if not isinstance(logprobs, list) or len(logprobs) != len(ids):
        raise bad_row(where, "has not one log-probability for each of its completion_ids")
    if not all(type(x) in (int, float) and math.isfinite(x) for x in logprobs):
        raise bad_row(where, "has logprobs that are not all finite numbers")
    return ids, [float(x) for x in logprobs]


def _finished(row: dict[str, Any], answer: Sequence[int], ends: Collection[int], where: str) -> bool:
    """The sampler's word for it: an answer that a stop string ended shows no sign of it in its ids."""
    reason: object = row.get("finish_reason")
    if reason is None:
        return answer[-1] in ends
    if reason not in ("stop", "length"):
        raise bad_row(where, f"has the finish_reason {reason!r}, which is neither stop nor length")
    return reason == "stop"


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows), encoding="utf-8")
    fsync_path(temporary)
    temporary.replace(path)
    fsync_path(path.parent)
