"""PPO-ptx: text that the policy must not forget, learned in the same optimizer steps as the reward (InstructGPT C.4).

inputs.pretraining holds *.txt as pretraining reads it (every token is learned) or train.jsonl with demonstrations as SFT
reads it (their answers are). Its gradient is added to the same buffer before the one step of a minibatch: with a second
step of its own, Adam would divide the weight away again and mix two kinds of moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.core.config import PolicyConfig
from training.core.data import Dropped, Prompt, add_dropped, read_demonstrations, require_some
from training.core.loop import Numbers, autocast, check_finite, in_passes
from training.core.losses import masked_sum
from training.core.meter import meter, whole
from training.core.parallel import world
from training.core.pretrain import document_ids, read_documents
from training.core.rollout import Rollout, answer_logprobs, answer_mask
from training.core.run_folder import Run


@dataclass(frozen=True, slots=True)
class Example:
    """A text; what is learned is ids[prompt_tokens:]."""

    ids: list[int]
    prompt_tokens: int


class Pretraining:
    """The examples, in a shuffled order that hangs on the seed alone: a resumed run needs no saved place."""

    def __init__(self, examples: list[Example], cfg: PolicyConfig, seed: int) -> None:
        self.examples = examples
        self.cfg = cfg
        self.seed = seed

    def add_gradients(self, policy: PreTrainedModel, begin: int, end: int) -> Numbers:
        """Add ptx_coef x the gradient of the mean NLL per token over ptx_ratio examples for each of the episodes
        begin .. end - 1, counted over the whole run."""
        ratio = self.cfg.ptx_ratio
        places = in_passes(len(self.examples), begin * ratio, end * ratio, self.seed, "ptx")
        texts = as_rollout([self.examples[i] for i in places])
        tokens, nats = sum(map(len, texts.answers)), 0.0
        with meter.phase("forward_backward"):
            for part in texts.parts(range(len(places)), self.cfg.micro_batch_tokens):
                with autocast(policy.device, enabled=self.cfg.autocast_bf16):
                    nll = _nll(policy, texts, part)
                torch.autograd.backward(self.cfg.ptx_coef * nll / tokens)
                nats += float(nll.detach())
            nats = world.sum({"nats": nats})["nats"]
        meter.trained(whole([texts.cost(i)[1] for i in range(len(places))]), policy)
        check_finite(nats, "ptx_loss")
        return {"ptx_loss": nats / tokens}


def as_rollout(examples: list[Example]) -> Rollout:
    """Texts as if they had been sampled: what is learned is the answer."""
    return Rollout(
        prompts=[Prompt("", [], one.ids[: one.prompt_tokens]) for one in examples],
        answers=[one.ids[one.prompt_tokens :] for one in examples],
        sampler_logprobs=[],
        finished=[],
        texts=[],
    )


def _nll(policy: PreTrainedModel, texts: Rollout, part: list[int]) -> Tensor:
    mask_BR = answer_mask(texts, policy.device)[torch.tensor(part, device=policy.device)]
    logp_BR, _ = answer_logprobs(policy, texts, part, mask_BR.shape[1])
    return -masked_sum(logp_BR, mask_BR)


def read_pretraining(
    run: Run,
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    vocabulary: int,
    cfg: PolicyConfig,
    dropped: Dropped,
) -> Pretraining | None:
    """None where ptx_coef is 0. RunError where it is not and there is no text."""
    if cfg.ptx_coef == 0:
        return None
    folder, left_out = run.input("pretraining"), Dropped()
    demonstrations = read_demonstrations(folder, "train.jsonl", tokenizer, context, vocabulary, left_out)
    examples = [Example(one.ids, one.prompt_tokens) for one in demonstrations]
    texts, _ = read_documents(folder, 0.0, run.seed)
    for text in texts:
        if isinstance(text, str):
            examples += _windows(document_ids(tokenizer, text), context)
    require_some(examples, "pretraining examples", left_out)
    add_dropped(dropped, left_out, "ptx")
    return Pretraining(examples, cfg, run.seed)


def _windows(ids: list[int], context: int) -> list[Example]:
    """A document in pieces of at most `context` tokens that overlap by one, so that all but its first are learned once."""
    return [Example(ids[i : i + context], 1) for i in range(0, len(ids) - 1, context - 1)]
