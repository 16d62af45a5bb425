"""The PPO that TRL had until 1.12: answers of a fixed length, a reward model, its own rollouts."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

from benchmarks.peers.scripts.child import Clock, Job, Result, arguments, serve


class Memory(Clock):
    """A clock that also lets the peak of the memory start anew with the loop, as ours does."""

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        super().on_train_begin(*args, **kwargs)


def train(job: Job) -> Result:
    """job["iterations"] iterations of job["episodes"] episodes over job["prompts"] = [[token, ...], ...]."""
    before = resident_mb("VmRSS")
    scalar = {"num_labels": 1, "dtype": "float32"}
    policy = AutoModelForCausalLM.from_pretrained(job["policy"], dtype="float32")
    reference = AutoModelForCausalLM.from_pretrained(job["policy"], dtype="float32")
    value = AutoModelForSequenceClassification.from_pretrained(job["reward"], **scalar)
    reward = AutoModelForSequenceClassification.from_pretrained(job["reward"], **scalar)
    prompts = Dataset.from_list([{"input_ids": ids} for ids in job["prompts"]])
    clock = Memory()
    with tempfile.TemporaryDirectory() as folder:
        config = PPOConfig(
            **arguments(job, folder),
            total_episodes=job["iterations"] * job["episodes"],
            num_ppo_epochs=job["epochs"],
            num_mini_batches=job["minibatches"],
            local_rollout_forward_batch_size=job["batch_size"],
            response_length=job["new_tokens"],
            kl_coef=job["kl_coef"],
            temperature=1.0,
            missing_eos_penalty=None,
            stop_token="eos" if job["ends"] else None,
            num_sample_generations=0,
        )
        trainer = PPOTrainer(
            args=config,
            processing_class=AutoTokenizer.from_pretrained(job["policy"]),
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=prompts,
            eval_dataset=prompts,
            callbacks=[clock],
        )
        seen = counted(job)
        trainer.train()
    return clock.result() | {
        "episodes": trainer.state.episode,
        "tokens": seen["tokens"],
        "optimizer_steps": seen["steps"],
        "peak_rss_mb": resident_mb("VmHWM") - before,
    }


def counted(job: Job) -> Counter[str]:
    """What really happens from now on: optimizer steps, and tokens of answers up to their EOS."""
    seen: Counter[str] = Counter()
    register_optimizer_step_post_hook(lambda *_: seen.update(steps=1))
    if not job["ends"]:
        seen["tokens"] = job["iterations"] * job["episodes"] * job["new_tokens"]
        return seen
    truncate = ppo_trainer.truncate_response

    def count(stop: int, pad: int, response: torch.Tensor) -> torch.Tensor:
        cut: torch.Tensor = truncate(stop, pad, response)
        seen.update(tokens=int((cut != pad).sum()))
        return cut

    ppo_trainer.truncate_response = count
    return seen


def resident_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process, from /proc."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


if __name__ == "__main__":
    serve(train)
