"""Which step of an SFT run is published: the last, the one with the lowest validation loss, or the one that a reward model
likes best. InstructGPT chose by reward (2203.02155, 3.5 and C.1): the loss rises after an epoch while people still like
the answers better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.config import SamplingParams
from inference.engine.models import disable_dropout
from inference.engine.requests import Sample, SampleRequest
from training.core.checkpoint import TrainingState
from training.core.config import SFTConfig
from training.core.data import Dropped, Prompt, add_dropped, make_room, require_some
from training.core.errors import RunError
from training.core.loop import Numbers, evaluating, micro_batches, pad, stream_seed
from training.core.rollout import check_scores
from training.core.run_folder import Run
from training.core.stage import check_same_tokenizer, context_of, generate, load_scalar_input

CHOSEN = "chosen"
# A measured number that decides, and whether more of it is better.
_BEST: dict[str, tuple[str, bool]] = {
    "valid_loss": ("sft/valid_nll", False),
    "reward": ("sft/valid_reward", True),
}


class Judge:
    """The reward model's view of a policy: answers to the same prompts, drawn with the same seeds, so only the policy changes.

    Counts `judge_prompts_too_long`: no room for reward_tokens."""

    def __init__(
        self,
        run: Run,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        prompts: Sequence[Prompt],
        dropped: Dropped,
    ) -> None:
        self.cfg = cast(SFTConfig, run.config)
        self.reward, other = load_scalar_input(run, "reward", model.device)
        check_same_tokenizer(tokenizer, other, "The model and the reward model")
        disable_dropout(self.reward.requires_grad_(requires_grad=False))
        context = min(context_of(model), context_of(self.reward))
        limit = context - self.cfg.reward_tokens
        fitting = [prompt for prompt in prompts if len(prompt.ids) <= limit]
        too_long = Dropped("prompts_too_long" for prompt in prompts if len(prompt.ids) > limit)
        remedy = make_room("reward_tokens", context)
        require_some(fitting, "validation prompts that leave room for reward_tokens", too_long, remedy)
        add_dropped(dropped, too_long, "judge")
        self.prompts, self.tokenizer = fitting[: self.cfg.reward_prompts], tokenizer
        self.seed = stream_seed(run.seed, "judge")

    def numbers(self, model: PreTrainedModel) -> Numbers:
        """Mean score and its standard error."""
        params = SamplingParams(max_tokens=self.cfg.reward_tokens)
        requests = [
            SampleRequest(prompt_ids=tuple(p.ids), n=1, params=params, seed=self.seed, key=p.id, stream=False)
            for p in self.prompts
        ]
        with evaluating(model):
            scores = self._scores([samples[0] for samples in generate(model, self.tokenizer, requests)])
        error = float(scores.std(correction=0)) / math.sqrt(max(len(scores) - 1, 1))
        return {"sft/valid_reward": float(scores.mean()), "sft/valid_reward_se": error}

    @torch.no_grad()
    def _scores(self, answers: Sequence[Sample]) -> torch.Tensor:
        sequences = [[*p.ids, *a.token_ids] for p, a in zip(self.prompts, answers, strict=True)]
        scores = torch.zeros(len(answers), dtype=torch.float64)
        for part in micro_batches(
            range(len(sequences)), lambda i: (1, len(sequences[i])), self.cfg.micro_batch_tokens
        ):
            ids_BT, mask_BT = pad([sequences[i] for i in part], self.reward.score.weight.device)
            scores[part] = self.reward.rewards(ids_BT, mask_BT).double().cpu()
        check_scores(scores)
        if self.cfg.no_eos_reward is not None:
            scores[[answer.finish_reason != "stop" for answer in answers]] = self.cfg.no_eos_reward
        return scores


def check_choice(run: Run, valid: Sequence[Any]) -> None:
    """RunError where `select` asks for a number that can't be measured."""
    select = cast(SFTConfig, run.config).select
    if select == "reward":
        run.input("reward")
    if select != "last" and not valid:
        raise RunError(
            "empty_dataset",
            f"select is {select}, but there are no validation demonstrations.",
            "Add valid.jsonl to the dataset, or set select to last.",
        )


def consider(state: TrainingState, row: Numbers, cfg: SFTConfig) -> None:
    """Keep the weights of a measured step where it is better than all before it. `row` is what was measured after
    step `state.step` + 1."""
    if cfg.select == "last":
        return
    name, higher = _BEST[cfg.select]
    best = state.numbers.get(CHOSEN)
    if best is not None and (row[name] <= best["row"][name] if higher else row[name] >= best["row"][name]):
        return
    state.modules[CHOSEN].load_state_dict(state.modules["model"].state_dict())
    finite = {key: value for key, value in row.items() if math.isfinite(value)}
    state.numbers[CHOSEN] = {"step": state.step + 1, "row": finite}


def chosen(state: TrainingState, last: Numbers) -> tuple[nn.Module, int, Numbers]:
    """(weights to publish, their step, what was measured of them)."""
    if CHOSEN not in state.modules:
        return state.modules["model"], state.step, last
    best = state.numbers[CHOSEN]
    return state.modules[CHOSEN], best["step"], best["row"]
