"""Bulk sampling: our engine against what transformers has, on one CPU thread; one table.

    make bench-sampling [OPTIONS="--quick"]

All get the same requests: n candidates for each prompt, prompts of ragged length (log-uniform), each completion with its
own length limit (exponential, mean about 50 tokens), EOS ignored, float32, random weights of about 14 million. Only
wanted tokens count: what `generate()` writes in a row after that row's limit, while longer rows of its batch go on, does not.
CPU seconds of a process are measured, arms in turn, so a busy machine changes the ratios little. Where there are two cores,
one takes the rows of GPT-2 and the other those of Llama.

On the rows with the bar the same texts are also sampled in three layouts (slots, sharing of prompts): by seed they must be equal.

Peers: `generate()` in batches of 24 rows sorted by prompt length, the same in order of arrival, and the manager of
transformers' own continuous batching, these two on the rows with the bar alone. First both write greedily, and the tokens are compared.

The bar is a ratio of at least 2 to sorted `generate()`, same greedy tokens, same tokens by seed, for n = 6 and prompts of 100 tokens or more.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from transformers import (
    ContinuousBatchingConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import logging

from benchmarks import lanes
from inference.engine.config import SamplingParams
from inference.engine.engine import TorchEngine
from inference.engine.models import load_tokenizer, random_policy
from inference.engine.requests import SampleRequest

VOCABULARY = 8000
SLOTS = 24
LAYOUTS = ((24, True), (8, True), (3, False))  # slots, whether equal prompts are read once
BAR = 2.0

Tokens = dict[tuple[int, int], list[int]]  # by (place of the prompt, candidate)


class Case(NamedTuple):
    """A kind of requests. `seeds`: each makes its own prompts and limits; all peers run with the first one."""

    n: int
    prompts: int
    shortest: int
    longest: int
    seeds: tuple[int, ...]

    def barred(self) -> bool:
        """Whether the bar is on this case."""
        return self.n == 6 and self.shortest >= 100


CASES = (
    Case(6, 12, 100, 400, (0, 1, 2)),
    Case(6, 8, 8, 40, (0,)),
    Case(1, 32, 100, 400, (0,)),
    Case(1, 32, 8, 40, (0,)),
)
QUICK = (Case(6, 6, 100, 400, (0,)),)


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


def build_jobs(case: Case, seed: int) -> list[Job]:
    """Prompt lengths log-uniform from shortest to longest; completion lengths exponential, from 4 to 250."""
    rng = np.random.default_rng(seed)
    jobs = []
    for _ in range(case.prompts):
        length = int(np.exp(rng.uniform(np.log(case.shortest), np.log(case.longest))))
        limits = np.clip(rng.exponential(50, case.n).astype(int), 4, 250)
        jobs.append(Job(tuple(rng.integers(5, VOCABULARY, length).tolist()), tuple(limits.tolist())))
    return jobs


def with_engine(
    model: Any, tokenizer: Any, jobs: list[Job], temperature: float, *, slots: int = SLOTS, share: bool = True
) -> Tokens:
    """Every candidate is asked for with its own limit; equal prompts are still read once."""
    engine = TorchEngine(model, tokenizer, slots=slots, share_prompts=share)
    places, requests = [], []
    for place, job in enumerate(jobs):
        for candidate, limit in enumerate(job.limits):
            params = SamplingParams(max_tokens=limit, temperature=temperature, ignore_eos=True)
            places.append((place, candidate))
            requests.append(
                SampleRequest(
                    prompt_ids=job.prompt,
                    params=params,
                    key=str(place),
                    candidates=(candidate,),
                    stream=False,
                )
            )
    samples = engine.generate(requests)
    return {place: list(group[0].token_ids) for place, group in zip(places, samples, strict=True)}


@torch.inference_mode()
def with_generate(model: Any, jobs: list[Job], temperature: float, *, by_length: bool) -> Tokens:
    """Batches of SLOTS rows, padded on the left; each runs to its longest row's limit."""
    order = [(place, candidate) for place, job in enumerate(jobs) for candidate in range(len(job.limits))]
    if by_length:
        order.sort(key=lambda pair: len(jobs[pair[0]].prompt))
    found = {}
    for start in range(0, len(order), SLOTS):
        batch = order[start : start + SLOTS]
        longest = max(len(jobs[place].prompt) for place, _ in batch)
        padding = [longest - len(jobs[place].prompt) for place, _ in batch]
        rows = zip(padding, batch, strict=True)
        ids = torch.tensor([[0] * pad + list(jobs[place].prompt) for pad, (place, _) in rows])
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
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


def with_manager(model: Any, jobs: list[Job], temperature: float) -> Tokens:
    """transformers' continuous batching: it shares whole pages of equal prompts, and takes a limit for each request."""
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True, temperature=temperature, top_k=0, top_p=1.0, eos_token_id=-1, max_new_tokens=250
    )
    pages = sum(-(-(len(job.prompt) + 250) // 32) * len(job.limits) for job in jobs)
    options = ContinuousBatchingConfig(
        page_size=32,
        num_blocks=pages,
        max_batch_tokens=512,
        max_requests_per_batch=SLOTS,
        use_cuda_graph=False,
        use_async_batching=False,
        auto_switch_to_flash=False,
    )
    found: Tokens = {}
    with model.continuous_batching_context_manager(
        generation_config=settings, continuous_batching_config=options, warmup=False
    ) as manager:
        for place, job in enumerate(jobs):
            for candidate, limit in enumerate(job.limits):
                manager.add_request(list(job.prompt), request_id=f"{place} {candidate}", max_new_tokens=limit)
        wanted = sum(len(job.limits) for job in jobs)
        while len(found) < wanted:
            result = manager.get_result(timeout=1)
            if result is None and not manager.is_running():
                raise RuntimeError("the manager's thread has ended")
            if result is not None and result.error:
                raise RuntimeError(result.error)
            if result is not None and result.is_finished():
                place, candidate = map(int, result.request_id.split())
                found[place, candidate] = list(result.generated_tokens)
    return found


def same_by_seed(model: Any, tokenizer: Any, jobs: list[Job]) -> tuple[int, int]:
    """Of how many texts the tokens are the same in every layout, and how many there are."""
    found = [with_engine(model, tokenizer, jobs, 1.0, slots=n, share=share) for n, share in LAYOUTS]
    return sum(all(one[place] == ids for one in found) for place, ids in found[0].items()), len(found[0])


def measure(run: Callable[[], Tokens], jobs: list[Job]) -> float:
    """Wanted tokens per CPU second of one run."""
    start = time.process_time()
    got = run()
    spent = time.process_time() - start
    assert {place: len(ids) for place, ids in got.items()} == {
        (place, c): limit for place, job in enumerate(jobs) for c, limit in enumerate(job.limits)
    }
    return sum(sum(job.limits) for job in jobs) / spent


def _other_peers(model: Any, jobs: list[Job]) -> tuple[str, str]:
    """Wanted tokens per CPU second of generate() in order of arrival, and of transformers' manager or why it failed."""
    arrival = measure(lambda: with_generate(model, jobs, 1.0, by_length=False), jobs)
    try:
        # A copy: the manager changes the model's attention.
        manager = f"{measure(lambda: with_manager(copy.deepcopy(model), jobs, 1.0), jobs):.0f}"
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        manager = type(error).__name__
    return f"{arrival:.0f}", manager


def compare(shape: str, case: Case, tokenizer: Any) -> bool:
    """Print one row of the table; whether it keeps its bar, where it has one."""
    model = build_model(shape)
    few = build_jobs(case, case.seeds[0])[: 3 if case.n > 1 else SLOTS]
    ours = with_engine(model, tokenizer, few, 0.0)
    theirs = with_generate(model, few, 0.0, by_length=True)
    equal = sum(ours[place] == theirs[place] for place in ours)
    engine, peer = [], []
    for seed in case.seeds:
        jobs = build_jobs(case, seed)
        engine.append(measure(lambda jobs=jobs: with_engine(model, tokenizer, jobs, 1.0), jobs))  # type: ignore[misc]
        peer.append(measure(lambda jobs=jobs: with_generate(model, jobs, 1.0, by_length=True), jobs))  # type: ignore[misc]
    arrival, manager = _other_peers(model, build_jobs(case, case.seeds[0])) if case.barred() else ("", "")
    ratios = [a / b for a, b in zip(engine, peer, strict=True)]
    same, texts = same_by_seed(model, tokenizer, few) if case.barred() else (0, 0)
    good = not case.barred() or (min(ratios) >= BAR and equal == len(ours) and same == texts)
    by_seed = f"{same}/{texts}" if texts else ""
    print(
        f"{shape:6}{case.n:3}{case.shortest:5}-{case.longest:<4}{statistics.median(engine):9.0f}"
        f"{statistics.median(peer):9.0f}{arrival:>9}{manager:>9}{statistics.median(ratios):8.2f}{min(ratios):7.2f}"
        f"{equal:5}/{len(ours):<4}{by_seed:>7} {','.join(map(str, case.seeds)):7}"
        f"{'' if not case.barred() else 'ok' if good else 'MISS'}",
        flush=True,
    )
    return good


def processor() -> str:
    """The CPU's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    """Print the table; how many rows miss the bar."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer prompts, one seed, the row with the bar alone"
    )
    parser.add_argument("--shape", choices=["gpt2", "llama"], help="only this shape")
    parser.add_argument("--lane", type=int, metavar="CORE", help="stay on this core and print rows alone")
    given = parser.parse_args()
    if given.lane is not None:
        lanes.stay_on(given.lane)
        return _print_rows(given.shape, QUICK if given.quick else CASES)
    began = time.monotonic()
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {processor()}, 1 thread, float32"
    )
    print(
        f"{SLOTS} rows; wanted tokens per CPU second; ratio: engine / peer generate() sorted, median and least of the seeds"
    )
    print(
        f"{'shape':6}{'n':>3}{'prompt':>9} {'engine':>9}{'sorted':>9}{'arrival':>9}{'manager':>9}{'ratio':>8}{'least':>7}"
        f"{'greedy':>8}{'by seed':>9}  seeds  bar {BAR:g}",
        flush=True,
    )
    how = ["--quick"] if given.quick else []
    shapes = [given.shape] if given.shape else ["gpt2", "llama"]
    missed = lanes.run_sections("benchmarks.sampling", [["--shape", shape, *how] for shape in shapes])
    print("sorted, arrival: peer generate() in that order; manager: peer continuous batching of transformers")
    print(f"not verified on a GPU; {time.monotonic() - began:.0f} s")
    return missed


def _print_rows(shape: str, cases: Sequence[Case]) -> int:
    """The rows of a shape; how many miss the bar."""
    torch.set_num_threads(1)
    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        random_policy(folder)
        tokenizer = load_tokenizer(folder)
    return sum(not compare(shape, case, tokenizer) for case in cases)


if __name__ == "__main__":
    sys.exit(main())
