"""Make the golden vectors that hold our losses to TRL's: tests/training/core/golden/trl-<version>.npz.

    pip install --no-deps --target /tmp/trl-1.16 trl==1.16.0
    pip install --no-deps --target /tmp/trl-1.12 trl==1.12.0      # the last with PPO
    PYTHONPATH=/tmp/trl-1.16 python benchmarks/golden_trl.py      # SFT, reward model, DPO
    PYTHONPATH=/tmp/trl-1.12 python benchmarks/golden_trl.py      # PPO

in the project's environment (torch 2.13.0, transformers 5.23.0, datasets 5.2.0). TRL's own trainers compute the numbers on
tiny random models; nothing of theirs is called at test time. Weights and batches are stored beside the results, so that
the test asks nothing of anyone's random generator.
"""

from __future__ import annotations

import os

# TRL reports every trainer that is made unless one of these is set.
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TRL_EXPERIMENTAL_SILENCE="1")

import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "training" / "core" / "golden"
VOCABULARY, PAD, EOS = 24, 24, 1  # PAD lies past the embedding, so that no model can write it.
BETA, SMOOTHING = 0.3, 0.2
Arrays = dict[str, Any]


def tiny(kind: Any, seed: int) -> Any:
    """A random GPT-2 whose next-token distributions are far from uniform."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_layer=1, n_embd=8, n_head=2, n_positions=32, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.4,
        bos_token_id=None, eos_token_id=EOS, pad_token_id=None,
    )  # fmt: skip
    config.num_labels = 1
    model = kind(config)
    model.config.pad_token_id = PAD
    return model


def tokenizer() -> Any:
    backend = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY + 1)}, unk_token="w2"))  # noqa: S106 - a word
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=backend, eos_token=f"w{EOS}", pad_token=f"w{PAD}")


def words(rng: np.random.Generator, low: int, high: int) -> list[int]:
    return [int(i) for i in rng.integers(2, VOCABULARY, size=rng.integers(low, high))]


def weights(name: str, model: Any) -> Arrays:
    return {f"{name}/{key}": value.numpy() for key, value in model.state_dict().items()}


def gradient(model: Any) -> Any:
    parts = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return torch.cat(parts).numpy()


def settings(kind: Any, folder: str, **more: Any) -> Any:
    return kind(output_dir=folder, use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, **more)


def padded(rows: list[list[int]]) -> Any:
    width = max(map(len, rows))
    return np.array([row + [-1] * (width - len(row)) for row in rows])


# --- TRL 1.16: SFT, reward model, DPO -------------------------------------------------------------------------------


def of_1_16(folder: str) -> Arrays:
    rng = np.random.default_rng(0)
    prompts = [words(rng, 2, 7) for _ in range(4)]
    chosen, rejected = ([[*words(rng, 1, 8), EOS] for _ in prompts] for _ in range(2))
    found: Arrays = {"prompts": padded(prompts), "chosen": padded(chosen), "rejected": padded(rejected)}
    return found | dpo(prompts, chosen, rejected, folder) | sft(prompts, chosen, folder) | reward(rng, folder)


def dpo(prompts: Any, chosen: Any, rejected: Any, folder: str) -> Arrays:
    trl = import_module("trl")
    policy, reference = tiny(GPT2LMHeadModel, 1), tiny(GPT2LMHeadModel, 2)
    found = weights("policy", policy) | weights("reference", reference)
    text = [{"prompt": "w2", "chosen": "w3", "rejected": "w4"}]
    trainer = trl.DPOTrainer(
        model=policy, ref_model=reference, processing_class=tokenizer(), train_dataset=Dataset.from_list(text),
        args=settings(trl.DPOConfig, folder, beta=BETA, gradient_checkpointing=False, precompute_ref_log_probs=False),
    )  # fmt: skip
    examples = [
        {"prompt_ids": x, "chosen_ids": w, "rejected_ids": z}
        for x, w, z in zip(prompts, chosen, rejected, strict=True)
    ]
    collate = import_module("trl.trainer.dpo_trainer").DataCollatorForPreference(pad_token_id=0)

    def loss(kind: str, rows: Any) -> Any:
        trainer.loss_types, trainer.loss_weights, trainer.label_smoothing = [kind], [1.0], SMOOTHING
        return trainer.compute_loss(trainer.model, collate(rows))

    whole = loss("sigmoid", examples)
    whole.backward()
    found |= {"dpo/loss": whole.item(), "dpo/gradient": gradient(policy)}
    found["dpo/loss_length_normalized"] = loss("sigmoid_norm", examples).item()
    # One pair at a time "aot" sorts nothing and is conservative DPO; "sigmoid" has no smoothing any more.
    found["dpo/losses_smoothed"] = np.array([loss("aot", [one]).item() for one in examples])
    for name in ("logps/chosen", "logps/rejected", "rewards/margins"):
        found[f"dpo/{name}"] = trainer._metrics["train"][name][0]
    return found


def sft(prompts: Any, chosen: Any, folder: str) -> Arrays:
    trl = import_module("trl")
    model = tiny(GPT2LMHeadModel, 1)
    trainer = trl.SFTTrainer(
        model=model, processing_class=tokenizer(), train_dataset=Dataset.from_list([{"prompt": "w2", "completion": "w3"}]),
        args=settings(trl.SFTConfig, folder, gradient_checkpointing=False),
    )  # fmt: skip
    rows = [x + y for x, y in zip(prompts, chosen, strict=True)]
    ids = torch.tensor(padded(rows))
    labels = ids.clone()
    for b, prompt in enumerate(prompts):
        labels[b, : len(prompt)] = -100
    labels[ids < 0] = -100
    inputs = {"input_ids": ids.clamp(min=0), "attention_mask": (ids >= 0).long(), "labels": labels}
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return {"sft/loss": loss.item(), "sft/gradient": gradient(model)}


def reward(rng: np.random.Generator, folder: str) -> Arrays:
    """Two rankings of three answers, best first, as all their pairs."""
    trl = import_module("trl")
    model = tiny(GPT2ForSequenceClassification, 3)
    found = weights("reward", model)
    trainer = trl.RewardTrainer(
        model=model, processing_class=tokenizer(), train_dataset=Dataset.from_list([{"chosen": "w2", "rejected": "w3"}]),
        args=settings(trl.RewardConfig, folder, gradient_checkpointing=False),
    )  # fmt: skip
    rankings = [[[*words(rng, 3, 12), EOS] for _ in range(3)] for _ in range(2)]
    pairs = [pair for ranking in rankings for pair in combinations(ranking, 2)]
    collate = import_module("trl.trainer.reward_trainer").DataCollatorForPreference(pad_token_id=PAD)
    batch = collate([{"chosen_ids": w, "rejected_ids": z} for w, z in pairs])
    # A PAD past the embedding cannot be looked up; the classifier finds each row's end by it, so both get their way.
    model.transformer.wte.register_forward_pre_hook(lambda _, ids: (ids[0].masked_fill(ids[0] == PAD, 0),))
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    rows = {"rankings": padded([answer for ranking in rankings for answer in ranking])}
    return found | rows | {"reward/loss": loss.item(), "reward/gradient": gradient(model)}


# --- TRL 1.12: PPO --------------------------------------------------------------------------------------------------

WATCHED = (
    "logprobs", "ref_logprobs", "values", "scores", "padding_mask", "padding_mask_p1", "rewards", "advantages", "returns",
    "micro_batch_inds", "new_logprobs", "vpred", "pg_loss", "vf_loss", "loss", "kl",
)  # fmt: skip


def of_1_12(folder: str) -> Arrays:
    """One rollout and two passes over it: what stands in PPOTrainer.train when the second calls backward."""
    ppo = import_module("trl.experimental.ppo")
    prompts = [{"input_ids": words(np.random.default_rng(i), 3, 4)} for i in range(16)]
    args = settings(
        ppo.PPOConfig, folder, total_episodes=16, per_device_train_batch_size=16, gradient_accumulation_steps=1,
        num_ppo_epochs=2, num_mini_batches=1, response_length=12, temperature=1.0, stop_token="eos",  # noqa: S106 - no secret
        learning_rate=2e-2,
        kl_coef=0.1, cliprange=0.2, cliprange_value=0.2, vf_coef=0.1, gamma=1.0, lam=0.95, num_sample_generations=0,
        missing_eos_penalty=1.0, gradient_checkpointing=False, save_strategy="no",
    )  # fmt: skip
    trainer = ppo.PPOTrainer(
        args=args, processing_class=tokenizer(), model=tiny(GPT2LMHeadModel, 1), ref_model=tiny(GPT2LMHeadModel, 2),
        reward_model=tiny(GPT2ForSequenceClassification, 3), value_model=tiny(GPT2ForSequenceClassification, 4),
        train_dataset=Dataset.from_list(prompts), eval_dataset=Dataset.from_list(prompts),
    )  # fmt: skip
    passes: list[Arrays] = []
    backward = trainer.accelerator.backward

    def watch(loss: Any) -> None:
        frame = sys._getframe(1).f_locals
        passes.append({name: torch.as_tensor(frame[name]).detach().numpy().copy() for name in WATCHED})
        backward(loss)

    trainer.accelerator.backward = watch
    np.random.seed(0)  # TRL shuffles with it and leaves it unseeded.
    trainer.train()
    chosen = ("kl_coef", "cliprange", "cliprange_value", "vf_coef", "gamma", "lam")
    return passes[1] | {name: getattr(args, name) for name in chosen}


def main() -> None:
    installed = version("trl")
    with tempfile.TemporaryDirectory() as folder:
        found = of_1_12(folder) if installed == "1.12.0" else of_1_16(folder)
    GOLDEN.mkdir(exist_ok=True)
    path = GOLDEN / f"trl-{installed}.npz"
    # float32 from end to end: what TRL computed is what is stored.
    arrays: Arrays = {name: np.asarray(value) for name, value in found.items()}
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(found)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
