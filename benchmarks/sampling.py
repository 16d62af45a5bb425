"""Bulk sampling: our engine against transformers' `generate()` sorted by prompt length, on one CPU thread.

    python benchmarks/sampling.py [--quick] [--shape gpt2|llama] [--n 6] [--prompts 16] [--short]

Both get the same requests: n candidates for each prompt, prompts of ragged length, each completion with its own
length limit (exponential, mean about 50 tokens), EOS ignored, float32, random weights of about 14 million. Only
wanted tokens count: what `generate()` writes in a row after that row's limit, while longer rows of its batch go on,
does not. CPU seconds of this process are measured, so a busy machine changes the ratio little. Texts are compared
greedily first: both must write the same tokens.

The bar is a ratio of at least 2 for n = 6 and prompts of 100 tokens or more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.models import load_tokenizer, random_policy
from inference.engine.requests import SampleRequest

VOCABULARY = 8000
SLOTS = 24


@dataclass(frozen=True)
class Job:
    """One prompt, and the length limit of each of its candidates."""

    prompt: tuple[int, ...]
    limits: tuple[int, ...]


def build_model(shape: str) -> Any:
    """About 14 million random weights of either shape."""
    torch.manual_seed(0)
    if shape == "gpt2":
        config = GPT2Config(vocab_size=VOCABULARY, n_layer=6, n_embd=384, n_head=6, n_positions=1024)
        config.bos_token_id, config.eos_token_id = None, VOCABULARY - 1
        gpt2: Any = GPT2LMHeadModel(config)
        return gpt2.eval()
    llama_config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=VOCABULARY - 1,
        bos_token_id=None,
    )
    llama: Any = LlamaForCausalLM(llama_config)
    return llama.eval()


def build_jobs(prompts: int, n: int, shortest: int, longest: int, *, limit: int) -> list[Job]:
    """Prompt lengths log-uniform from shortest to longest; completion lengths exponential, from 4 to `limit`."""
    rng = np.random.default_rng(0)
    jobs = []
    for _ in range(prompts):
        length = int(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
        limits = np.clip(rng.exponential(50, n).astype(int), 4, limit)
        jobs.append(Job(tuple(rng.integers(5, VOCABULARY, length).tolist()), tuple(limits.tolist())))
    return jobs


def with_engine(
    model: Any, tokenizer: Any, jobs: list[Job], temperature: float
) -> dict[tuple[int, int], list[int]]:
    """Every candidate is asked for with its own limit; equal prompts are still read once."""
    engine = TorchEngine(model, tokenizer, slots=SLOTS)
    places, requests = [], []
    for place, job in enumerate(jobs):
        for candidate, limit in enumerate(job.limits):
            params = SamplingParams(max_tokens=limit, temperature=temperature, ignore_eos=True)
            places.append((place, candidate))
            requests.append(
                SampleRequest(prompt_ids=job.prompt, params=params, key=str(place), candidates=(candidate,))
            )
    samples = engine.generate(requests)
    return {place: list(group[0].token_ids) for place, group in zip(places, samples, strict=True)}


@torch.inference_mode()
def with_generate(model: Any, jobs: list[Job], temperature: float) -> dict[tuple[int, int], list[int]]:
    """Batches of SLOTS rows of like prompt length, padded on the left; each runs to its longest row's limit."""
    order = sorted(
        ((place, candidate) for place, job in enumerate(jobs) for candidate in range(len(job.limits))),
        key=lambda pair: len(jobs[pair[0]].prompt),
    )
    found = {}
    for start in range(0, len(order), SLOTS):
        batch = order[start : start + SLOTS]
        longest = max(len(jobs[place].prompt) for place, _ in batch)
        ids = torch.tensor([[0] * (longest - len(jobs[p].prompt)) + list(jobs[p].prompt) for p, _ in batch])
        mask = torch.tensor(
            [[0] * (longest - len(jobs[p].prompt)) + [1] * len(jobs[p].prompt) for p, _ in batch]
        )
        limit = max(jobs[place].limits[candidate] for place, candidate in batch)
        settings = {"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
        whole = model.generate(
            ids,
            attention_mask=mask,
            do_sample=temperature > 0,
            max_new_tokens=limit,
            min_new_tokens=limit,
            pad_token_id=0,
            **settings,
        )
        for row, (place, candidate) in enumerate(batch):
            found[place, candidate] = whole[row, longest : longest + jobs[place].limits[candidate]].tolist()
    return found


def measure(run: Callable[[], dict[tuple[int, int], list[int]]], wanted: int) -> float:
    """Useful tokens per CPU second of one run."""
    start = time.process_time()
    got = run()
    spent = time.process_time() - start
    assert sum(map(len, got.values())) == wanted
    return wanted / spent


def compare(shape: str, jobs: list[Job], repeats: int, tokenizer: Any) -> float:
    """Print both rates and their ratio, runs taken in turn so that a busy machine hits both alike."""
    model = build_model(shape)
    wanted = sum(sum(job.limits) for job in jobs)
    few = jobs[:3]
    ours, theirs = with_engine(model, tokenizer, few, 0.0), with_generate(model, few, 0.0)
    equal = sum(ours[place] == theirs[place] for place in ours)
    engine, peer = [], []
    for _ in range(repeats):
        engine.append(measure(lambda: with_engine(model, tokenizer, jobs, 1.0), wanted))
        peer.append(measure(lambda: with_generate(model, jobs, 1.0), wanted))
    ratio = statistics.median(engine) / statistics.median(peer)
    lengths = [len(job.prompt) for job in jobs]
    weights = sum(p.numel() for p in model.parameters()) / 1e6
    print(
        f"{shape}: {weights:.1f} M weights, {len(jobs)} prompts x {len(jobs[0].limits)}, mean prompt {np.mean(lengths):.0f}"
    )
    print(f"  greedy completions equal: {equal} of {len(ours)}")
    print(f"  engine             {statistics.median(engine):8.1f} useful tokens / CPU s")
    print(f"  generate(), sorted {statistics.median(peer):8.1f} useful tokens / CPU s")
    print(f"  ratio              {ratio:8.2f}", flush=True)
    return ratio


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one repeat, fewer prompts, GPT-2 alone; under two minutes"
    )
    parser.add_argument("--shape", choices=["gpt2", "llama"], help="only this shape")
    parser.add_argument("--n", type=int, default=6, help="candidates for each prompt")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument(
        "--short", action="store_true", help="prompts of 8 to 40 tokens, where sharing saves little"
    )
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    shortest, longest = (8, 40) if given.short else (100, 400)
    prompts = 8 if given.quick else given.prompts
    jobs = build_jobs(prompts, given.n, shortest, longest, limit=150 if given.quick else 250)
    with tempfile.TemporaryDirectory() as folder:
        random_policy(folder)
        tokenizer = load_tokenizer(folder)
    shapes = [given.shape] if given.shape else ["gpt2"] if given.quick else ["gpt2", "llama"]
    for shape in shapes:
        compare(shape, jobs, 1 if given.quick else given.repeats, tokenizer)


if __name__ == "__main__":
    main()
