"""Answers of the policy, and what reference, value network and reward model say to them.

Sequences lie prompt + answer, padded on the right, in parts of a batch; results are answer-aligned (B, R): column t
belongs to the answer's token t, whose logits and value are read one position before it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine.config import SamplingParams
from inference.engine.models import ScalarModel
from inference.engine.requests import Sample, SampleRequest
from training.core.config import PolicyConfig
from training.core.data import Prompt
from training.core.errors import RunError
from training.core.loop import Numbers, autocast, micro_batches, pad
from training.core.losses import kl_k1, kl_k3, masked_mean
from training.core.parallel import world
from training.core.stage import generate, token_logprobs_of


class Sampling(Protocol):
    """What a stage that samples is told of it."""

    @property
    def max_new_tokens(self) -> int: ...
    @property
    def ignore_eos(self) -> bool: ...


class Scoring(Protocol):
    """What a stage that scores answers is told of it."""

    @property
    def no_eos_reward(self) -> float | None: ...


RewardFunction = Callable[[Sequence[Prompt], Sequence[Sequence[int]]], Sequence[float]]
MOST_APART = 0.01
"""Nats that sampler and trainer may differ on a token in float32, where they differ by 1e-5; TF32 comes to 1e-3."""


@dataclass(kw_only=True)
class Actors:
    """The four models of PPO; RLOO has no value network. `reward` is a reward model, or for exact experiments a function
    of prompts and answer ids. `judge` is another reward model, which nothing is learned from."""

    policy: PreTrainedModel
    reference: PreTrainedModel
    value: ScalarModel | None
    reward: ScalarModel | RewardFunction
    tokenizer: PreTrainedTokenizerBase
    judge: ScalarModel | None = None

    @property
    def trained(self) -> dict[str, nn.Module]:
        """The networks that learn."""
        value: dict[str, nn.Module] = {} if self.value is None else {"value": self.value}
        return {"policy": self.policy, **value}


@dataclass(frozen=True)
class Rollout:
    """Sampled episodes, as lists in one order."""

    prompts: list[Prompt]
    answers: list[list[int]]
    """Answer ids, the token that ended them included where there was one: exactly what the sampler drew."""
    sampler_logprobs: list[list[float]]
    finished: list[bool]
    texts: list[str]

    def sequence(self, i: int) -> list[int]:
        return self.prompts[i].ids + self.answers[i]

    def cost(self, i: int) -> tuple[int, int]:
        """Rows and tokens of an episode, for micro_batches."""
        return 1, len(self.prompts[i].ids) + len(self.answers[i])

    def parts(self, rows: Sequence[int], budget: int) -> list[list[int]]:
        """This rank's share of some episodes, in micro-batches of at most `budget` padded tokens."""
        return micro_batches(world.share(rows, lambda i: self.cost(i)[1]), self.cost, budget)


def sample(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    cfg: Sampling,
    seed: int,
) -> Rollout:
    """One answer per prompt, at temperature 1 without any truncation: the distribution whose log-probabilities PPO uses.

    A prompt that stands there several times gets candidates 0, 1, ...; a draw hangs on (seed, prompt id, candidate), so
    the text is the same whichever rank draws it. Ranks share the prompts, and each gets all answers.
    """
    params = SamplingParams(max_tokens=cfg.max_new_tokens, ignore_eos=cfg.ignore_eos)
    wanted = Counter(prompt.id for prompt in prompts)
    first = {prompt.id: prompt for prompt in prompts}
    requests = [
        SampleRequest(prompt_ids=tuple(first[key].ids), n=n, params=params, seed=seed, key=key, stream=False)
        for key, n in wanted.items()
    ]
    mine = world.share(requests, lambda one: one.n)
    with torch.no_grad():
        drawn = generate(policy, tokenizer, mine)
    own = {one.key: list(map(_flat, samples)) for one, samples in zip(mine, drawn, strict=True)}
    left = {key: iter(samples) for of_rank in world.gather(own) for key, samples in of_rank.items()}
    samples = [Sample(**next(left[prompt.id])) for prompt in prompts]
    return Rollout(
        prompts=list(prompts),
        answers=[list(s.token_ids) for s in samples],
        sampler_logprobs=[list(s.logprobs) for s in samples],
        finished=[s.finish_reason == "stop" for s in samples],
        texts=[s.text for s in samples],
    )


def _flat(sample: Sample) -> dict[str, Any]:
    """`asdict` without its copy of each token."""
    return {field.name: getattr(sample, field.name) for field in fields(sample)}


def answer_mask(rollout: Rollout, device: torch.device) -> Tensor:
    """(B, R): 1 on the answers' tokens, from their lengths."""
    lengths_B1 = torch.tensor([[len(answer)] for answer in rollout.answers], device=device)
    return (torch.arange(int(lengths_B1.max()), device=device) < lengths_B1).long()


def _aligned(x_BN: Tensor, rollout: Rollout, part: Sequence[int], first: int, width: int) -> Tensor:
    """Columns prompt_tokens - 1 + t of x, whose column 0 is position `first`; past a row's end it repeats what is there."""
    starts_B1 = torch.tensor([[len(rollout.prompts[i].ids) - 1 - first] for i in part], device=x_BN.device)
    index_BR = starts_B1 + torch.arange(width, device=x_BN.device)
    return x_BN.gather(1, index_BR.clamp(max=x_BN.shape[1] - 1))


def answer_logprobs(
    model: PreTrainedModel, rollout: Rollout, part: Sequence[int], width: int, *, with_entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities (b, R) of the answers' tokens and, if wanted, the entropies of the distributions they came from."""
    ids_BT, mask_BT = pad([rollout.sequence(i) for i in part], model.device)
    starts_B1 = torch.tensor([[len(rollout.prompts[i].ids)] for i in part], device=model.device)
    wanted_BT = (torch.arange(ids_BT.shape[1], device=model.device) >= starts_B1) & mask_BT.bool()
    found = token_logprobs_of(model, ids_BT, mask_BT, wanted_BT, with_entropy=with_entropy)
    logp_BR, entropy_BR = (None if x is None else _aligned(x, rollout, part, -1, width) for x in found)
    assert logp_BR is not None  # noqa: S101 - always there; tells mypy
    return logp_BR, entropy_BR


def answer_values(model: ScalarModel, rollout: Rollout, part: Sequence[int], width: int) -> Tensor:
    """Values (b, R) before each token was chosen, on the reward model's normalised scale (its shift taken off)."""
    ids_BT, mask_BT = pad([rollout.sequence(i) for i in part], model.score.weight.device)
    return _aligned(model(ids_BT, mask_BT), rollout, part, 0, width) - model.shift


@dataclass(frozen=True)
class Scored:
    """A rollout with all that does not change while it is learned from. Tensors are (B, R), or (B,)."""

    rollout: Rollout
    mask_BR: Tensor
    logp_BR: Tensor
    ref_logp_BR: Tensor
    values_BR: Tensor
    """0 where there is no value network."""
    entropy_BR: Tensor
    score_B: Tensor
    judge_B: Tensor | None = None
    """The judge's scores, where there is one."""

    @property
    def kl_B(self) -> Tensor:
        """Summed log-ratio of each answer to the reference, in nats: its mean estimates the KL without bias."""
        return (kl_k1(self.logp_BR, self.ref_logp_BR) * self.mask_BR).sum(1)


@torch.no_grad()
def score(actors: Actors, rollout: Rollout, parts: Sequence[Sequence[int]], cfg: PolicyConfig) -> Scored:
    """Run policy, reference, value and reward models over the rollout, in the given parts; each rank has its own, and all
    get the whole.

    The parts are those of the first pass of learning: with the same rows in the same shapes, the new log-probabilities
    of the first minibatch equal the old ones bit for bit.
    """
    mask = answer_mask(rollout, actors.policy.device)
    logp, ref_logp, values, entropy = (torch.zeros(mask.shape, device=mask.device) for _ in range(4))
    with autocast(mask.device, enabled=cfg.autocast_bf16):
        for part in parts:
            rows = torch.tensor(part, device=mask.device)
            new, spread = answer_logprobs(actors.policy, rollout, part, mask.shape[1], with_entropy=True)
            assert spread is not None  # noqa: S101 - asked for; tells mypy
            logp[rows], entropy[rows] = new, spread
            ref_logp[rows] = answer_logprobs(actors.reference, rollout, part, mask.shape[1])[0]
            if actors.value is not None:
                values[rows] = answer_values(actors.value, rollout, part, mask.shape[1])
        scores = answer_scores(actors.reward, rollout, parts, cfg, mask.device)
        judged = None
        if actors.judge is not None:
            judged = answer_scores(actors.judge, rollout, parts, cfg, mask.device, name="judge")
    # Padding holds whatever was gathered there; it is cleared so that nothing can depend on it.
    logp, ref_logp, values, entropy = (x * mask for x in (logp, ref_logp, values, entropy))
    world.add_up(logp, ref_logp, values, entropy)
    return Scored(rollout, mask, logp, ref_logp, values, entropy, scores, judged)


@torch.no_grad()
def answer_scores(
    reward: ScalarModel | RewardFunction,
    rollout: Rollout,
    parts: Sequence[Sequence[int]],
    cfg: Scoring,
    device: torch.device,
    *,
    name: str = "reward",
) -> Tensor:
    """Scores (B,): the reward model of inputs.<name> at the last token, and `no_eos_reward` where the answer never ended."""
    scores = torch.zeros(len(rollout.answers), device=device)
    if isinstance(reward, ScalarModel):
        for part in parts:
            ids, mask = pad([rollout.sequence(i) for i in part], device)
            scores[torch.tensor(part, device=device)] = reward.rewards(ids, mask)
        world.add_up(scores)
        check_scores(scores, name)
    else:
        scores += torch.tensor(list(reward(rollout.prompts, rollout.answers)), device=device)
    if cfg.no_eos_reward is not None:
        # Labelers rank cut answers too, by what is there; paid for that, a policy would have no reason to end.
        scores[~torch.tensor(rollout.finished, device=device)] = cfg.no_eos_reward
    return scores


def check_scores(scores_B: Tensor, name: str = "reward") -> None:
    """RunError where the reward model is no model any more, before a fixed score could hide what it says."""
    if not bool(torch.isfinite(scores_B).all()):
        raise RunError(
            "nan_loss",
            f"The reward model inputs.{name} gives scores that are not finite.",
            "Train it again: it has weights that are no numbers, or too large ones.",
        )


def rollout_numbers(scored: Scored, kl_coef: float) -> Numbers:
    """What the sampled answers show, before any update."""
    n, mask = scored.score_B.shape[0], scored.mask_BR
    kl_B, score_B = scored.kl_B.double(), scored.score_B.double()
    kl, mean = float(kl_B.mean()), float(score_B.mean())
    k3_B = (kl_k3(scored.logp_BR, scored.ref_logp_BR) * mask).sum(1)
    judged: Numbers = {}
    if scored.judge_B is not None:
        judge_B = scored.judge_B.double()
        judged = {"judge_score": float(judge_B.mean()), "judge_se": _standard_error(judge_B)}
    return {
        "score": mean, "score_std": float(score_B.std(correction=0)), "score_se": _standard_error(score_B),
        "kl": kl, "kl_se": _standard_error(kl_B), "kl_k3": float(k3_B.mean()), "kl_coef": kl_coef,
        "objective": mean - kl_coef * kl, "entropy": float(masked_mean(scored.entropy_BR, mask)),
        "no_eos_share": 1 - sum(scored.rollout.finished) / n, "response_tokens": float(mask.sum()) / n,
        "engine_logprob_error": _sampler_error(scored), **judged,
    }  # fmt: skip


def _standard_error(x_B: Tensor) -> float:
    return float(x_B.std(correction=0)) / math.sqrt(max(len(x_B) - 1, 1))


def check_drawn(row: Numbers, cfg: PolicyConfig) -> None:
    """RunError where, in float32, answers were drawn from another distribution than that of the policy that learns.

    Every ratio and every KL would be wrong, and the run would seem to go well.
    """
    apart = row["engine_logprob_error"]
    if not cfg.autocast_bf16 and apart > MOST_APART:
        raise RunError(
            "not_its_own_answers",
            f"The sampler and the trainer are {apart:.3g} nats apart on a token of the same policy; at most {MOST_APART:g} is"
            " rounding.",
            "This architecture computes something else when it learns: start from a model of another one.",
        )


def _sampler_error(scored: Scored) -> float:
    rows = zip(scored.rollout.sampler_logprobs, scored.logp_BR, strict=True)
    return max(
        float((torch.tensor(drawn, device=own.device) - own[: len(drawn)]).abs().max()) for drawn, own in rows
    )
