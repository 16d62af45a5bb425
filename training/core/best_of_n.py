"""Best-of-n: of n answers to a prompt the one that the reward model likes best, as a data set (2009.01325; 2112.09332).

    python -m training.core best_of_n runs/6/run.json

inputs: model, reward, dataset/{train,valid}.jsonl of prompts. Writes best/{train,valid}.jsonl, rows as SFT reads them, each
with its score, n and KL bound: SFT on them is rejection-sampling fine-tuning. Nothing is trained here and nothing is saved
half: draws hang on seed, prompt and candidate alone, so a run that died gives the same folder when it is run again.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.models import ScalarModel, disable_dropout
from training.core.cards import versions
from training.core.config import BestOfNConfig
from training.core.data import Dropped, Prompt, add_dropped, make_room, read_prompts, require_some
from training.core.errors import RunInterrupted
from training.core.loop import Numbers, micro_batches, prepare, stream_seed
from training.core.losses import best_of_k_mean, best_of_n_kl
from training.core.meter import meter
from training.core.report import Reporter
from training.core.rollout import RewardFunction, Rollout, answer_scores, sample
from training.core.run_folder import Run, publish_folder
from training.core.stage import check_same_tokenizer, context_of, load_policy_input, load_scalar_input

BEST = "best"


@dataclass(kw_only=True)
class Drawn:
    """What was drawn for some prompts: the chosen rows, and of each prompt all scores in the order of the draws."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    unfinished: int = 0


def best_of_n(run: Run, reward_function: RewardFunction | None = None) -> dict[str, Any]:
    """Draw, score and keep; returns what result.json holds. A reward function takes the reward model's place in experiments."""
    began = time.monotonic()
    cfg, device = cast(BestOfNConfig, run.config), prepare(run)
    policy, tokenizer = load_policy_input(run, "model", device)
    disable_dropout(policy)
    reward, limit = _reward(run, reward_function, tokenizer, device), context_of(policy)
    if isinstance(reward, ScalarModel):
        limit = min(limit, context_of(reward))
    dropped = {"train": Dropped(), "valid": Dropped()}
    splits = {
        name: read_prompts(
            run.input("dataset"), f"{name}.jsonl", tokenizer, limit - cfg.max_new_tokens, counts
        )
        for name, counts in dropped.items()
    }
    require_some(splits["train"], "prompts", dropped["train"], make_room("max_new_tokens", limit))
    chunks = [
        (name, prompts[i : i + cfg.batch_size])
        for name, prompts in splits.items()
        for i in range(0, len(prompts), cfg.batch_size)
    ]
    report = Reporter(run.folder, len(chunks))
    whole = {name: Drawn() for name in splits}
    for step, (name, prompts) in enumerate(chunks, start=1):
        chunk_began = time.perf_counter()
        seed = stream_seed(run.seed, "best-of-n", name)
        drawn = draw(policy, tokenizer, reward, prompts, cfg, seed)
        seconds = time.perf_counter() - chunk_began
        report.log(step, {**numbers(drawn, cfg), "perf/seconds": seconds, **meter.take()})
        _join(whole[name], drawn)
        if run.stop.signum is not None:
            raise RunInterrupted(run.stop.signum)
    for name, drawn in whole.items():
        dropped[name]["no_finished_answer"] += len(drawn.scores) - len(drawn.rows)
    require_some(whole["train"].rows, "finished answers", dropped["train"])
    add_dropped(dropped["train"], dropped["valid"], "valid")
    _publish(run, {name: drawn.rows for name, drawn in whole.items()})
    return {
        "kind": run.kind,
        "steps": len(chunks),
        "metrics": numbers(whole["train"], cfg),
        "frontier": frontier(whole["train"].scores, cfg.n),
        "dataset": BEST,
        "rows": {name: len(drawn.rows) for name, drawn in whole.items()},
        "dropped": dict(dropped["train"]),
        "seconds": round(time.monotonic() - began, 3),
        "versions": versions(),
    }


def _reward(
    run: Run, function: RewardFunction | None, tokenizer: PreTrainedTokenizerBase, device: torch.device
) -> ScalarModel | RewardFunction:
    if function is not None:
        return function
    reward, other = load_scalar_input(run, "reward", device)
    check_same_tokenizer(tokenizer, other, "The model and the reward model")
    disable_dropout(reward)
    return reward


def draw(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    reward: ScalarModel | RewardFunction,
    prompts: Sequence[Prompt],
    cfg: BestOfNConfig,
    seed: int,
) -> Drawn:
    """n answers to each prompt at temperature 1, and the best finished one of each as a demonstration."""
    rollout = sample(policy, tokenizer, [p for p in prompts for _ in range(cfg.n)], cfg, seed)
    parts = micro_batches(range(len(rollout.answers)), rollout.cost, cfg.micro_batch_tokens)
    scores = answer_scores(reward, rollout, parts, cfg, policy.device).double().tolist()
    found = Drawn(unfinished=rollout.finished.count(False))
    for first in range(0, len(scores), cfg.n):
        mine = range(first, first + cfg.n)
        found.scores.append(scores[first : first + cfg.n])
        # Half an answer is no demonstration: SFT would teach to end there.
        if able := [i for i in mine if rollout.finished[i] or cfg.ignore_eos]:
            best = max(able, key=lambda i: scores[i])
            found.rows.append(_row(rollout, best, scores[best], cfg.n))
            found.best.append(scores[best])
    return found


def _row(rollout: Rollout, i: int, score: float, n: int) -> dict[str, Any]:
    prompt = rollout.prompts[i]
    answer = {"role": "assistant", "content": rollout.texts[i]}
    return {
        "id": prompt.id, "messages": [*prompt.messages, answer], "token_ids": rollout.answers[i], "score": score, "n": n,
        "kl_bound": best_of_n_kl(n),
    }  # fmt: skip


def _join(whole: Drawn, more: Drawn) -> None:
    whole.rows += more.rows
    whole.scores += more.scores
    whole.best += more.best
    whole.unfinished += more.unfinished


def numbers(drawn: Drawn, cfg: BestOfNConfig) -> Numbers:
    found = {
        "bon/mean_score": fmean(map(fmean, drawn.scores)),
        "bon/first_score": fmean(scores[0] for scores in drawn.scores),
        "bon/no_eos_share": drawn.unfinished / (len(drawn.scores) * cfg.n),
        "bon/kl_bound": best_of_n_kl(cfg.n),
    }
    if drawn.best:
        found["bon/best_score"] = fmean(drawn.best)
        found["bon/best_se"] = pstdev(drawn.best) / math.sqrt(max(len(drawn.best) - 1, 1))
    return found


def frontier(scores: Sequence[Sequence[float]], n: int) -> list[dict[str, float]]:
    """What best-of-k would reach for k = 1, 2, 4, ... n, estimated without bias from the same draws, and its KL at most."""
    sizes = sorted({2**i for i in range(n.bit_length()) if 2**i <= n} | {n})
    return [
        {"n": k, "kl_bound": best_of_n_kl(k), "score": fmean(best_of_k_mean(one, k) for one in scores)}
        for k in sizes
    ]


def _publish(run: Run, splits: dict[str, list[dict[str, Any]]]) -> None:
    def write(folder: Path) -> None:
        for name, rows in splits.items():
            text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")

    publish_folder(run.folder / BEST, write)
