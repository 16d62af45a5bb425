"""PPO and RLOO: how near they come to the exact optimum (E6, E6b, E6c), and what an iteration costs in time and memory.

    python -m benchmarks.training_policy optimum [--kind ppo|rloo] [--seeds 5]
    python -m benchmarks.training_policy cost [--work E6|1.35M|fixed|32k]

`optimum`: the task of tests/training/core/enumerable.py, whose reward table, reference and schedules are committed with
their seeds; every figure but the time is by enumeration. `cost`: our trainer alone, each workload in a process of its own;
a peer's loop takes the same `Workload` and stands beside `ours_ppo`.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils import logging

from inference.engine.models import ScalarModel, load_policy, save_policy, save_scalar
from tests.training.core import enumerable
from tests.training.core.rundirs import load_run
from training.core.config import PPOConfig
from training.core.data import Prompt
from training.core.policy import Training, iterate, load_actors, new_state
from training.core.ppo import PPO, train_ppo
from training.core.report import read_rows
from training.core.rloo import train_rloo

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]
TRAIN: dict[str, tuple[Callable[..., Row], Row]] = {
    "ppo": (train_ppo, enumerable.SCHEDULE),  # 7,680 episodes
    "rloo": (
        train_rloo,
        enumerable.RLOO_SCHEDULE | {"iterations": 480},
    ),  # 30,720 episodes, one step for each 64
}


# --- the exact optimum ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Optimum:
    """Where one seed ended, by enumeration of all 8 x 4,096 answers."""

    kind: str
    seed: int
    closed: float  # share of the gap between the reference's objective and the best one
    reward: float
    kl: float
    best_of_n: float  # reward of the best of n answers at the same KL
    frontier: float  # the highest reward that is possible at this KL
    beyond: int  # iterations that claim more than is possible at their KL, by over 3 standard errors
    first_ratio_error: float  # the largest of all iterations
    cpu_s: float


def optimum(kind: str, seed: int) -> Optimum:
    """E6 of one seed. The schedule is fixed; the seed decides rollouts, orders and the value network's head."""
    train, schedule = TRAIN[kind]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        enumerable.write_model(folder / "reference")
        inputs = {"model": folder / "reference"}
        data = {"train": enumerable.prompt_rows()}
        run = load_run(folder / "run", kind, schedule, data=data, inputs=inputs, seed=seed)
        began = time.process_time()
        train(run, enumerable.RewardTable())
        cpu_s = time.process_time() - began
        reward, kl, closed = enumerable.gap_closed(folder)
        log_ref = enumerable.log_policy(load_policy(folder / "reference")[0])
        rows = read_rows(folder / "run" / "metrics.jsonl")
    table = enumerable.reward_table()
    frontier = enumerable.Frontier(log_ref, table)

    def claims_too_much(row: Row) -> bool:
        score, score_se, far, far_se = (
            row[f"{kind}/{name}"] for name in ("score", "score_se", "kl", "kl_se")
        )
        return bool(score - 3 * score_se > frontier.reward(far + 3 * far_se))

    return Optimum(
        kind, seed, closed, reward, kl, enumerable.best_of_at(log_ref, table, kl), frontier.reward(kl),
        sum(map(claims_too_much, rows)), max(row[f"{kind}/first_ratio_error"] for row in rows), cpu_s,
    )  # fmt: skip


def optima(kind: str, seeds: Sequence[int]) -> list[Optimum]:
    """One after another, each printed as it comes."""
    print(
        f"{'':<6}{'seed':>5}{'gap closed':>12}{'reward':>9}{'KL':>8}{'best-of-n':>11}{'frontier':>10}{'beyond':>8}{'CPU s':>8}"
    )
    found = []
    for seed in seeds:
        one = optimum(kind, seed)
        found.append(one)
        print(
            f"{kind:<6}{seed:>5}{one.closed:>12.2%}{one.reward:>9.3f}{one.kl:>8.3f}{one.best_of_n:>11.3f}{one.frontier:>10.3f}"
            f"{one.beyond:>8}{one.cpu_s:>8.1f}",
            flush=True,
        )
    return found


def missed(found: Sequence[Optimum]) -> list[str]:
    """The bars that do not hold: PPO's median 95 % and each 93 %, RLOO each 95 %; E6b and E7 for both."""
    closed = [one.closed for one in found]
    worst = {"ppo": 0.93, "rloo": 0.95}[found[0].kind]
    bars = {
        "the median closes 95 % of the gap": median(closed) >= 0.95,
        f"each closes {worst:.0%} of the gap": min(closed) >= worst,
        "each lies between best-of-n and the frontier": all(
            o.best_of_n < o.reward <= o.frontier for o in found
        ),
        "no iteration claims more than is possible": sum(one.beyond for one in found) == 0,
        "first ratios are exactly 1": max(one.first_ratio_error for one in found) == 0,
    }
    return [what for what, holds in bars.items() if not holds]


# --- time and memory ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A random GPT-2 as policy, reference, value network and reward model.

    An answer ends with chance `ends` after each token and after `new_tokens` at the latest; 0: all have that length.
    """

    layers: int
    width: int
    vocabulary: int
    heads: int = 4
    context: int = 128
    prompt_tokens: int = 16
    new_tokens: int = 24
    ends: float = 0.0
    prompts: int = 64
    episodes: int = 64
    iterations: int = 4
    epochs: int = 4
    minibatches: int = 1
    lr: float = 3e-4
    kl_coef: float = 0.01
    micro_batch_tokens: int = 8192
    seed: int = 0


WORK = {
    # The shape and schedule of E6; an answer is four of its eight tokens.
    "E6": Workload(
        layers=2,
        width=64,
        vocabulary=8,
        context=8,
        prompt_tokens=2,
        new_tokens=4,
        prompts=128,
        episodes=128,
        iterations=15,
        minibatches=4,
    ),
    # As answers are: ended by their EOS, half the limit long on average.
    "1.35M": Workload(layers=4, width=128, vocabulary=4096, new_tokens=48, ends=1 / 32),
    "fixed": Workload(layers=4, width=128, vocabulary=4096),
    "32k": Workload(layers=2, width=64, vocabulary=32_768, micro_batch_tokens=640),
}


@dataclass(frozen=True)
class Cost:
    """What the iterations of a workload took. Loading and publishing are not counted."""

    weights: int
    cpu_s: float
    wall_s: float
    episodes: int
    tokens: int  # sampled, of answers, EOS included
    optimizer_steps: int
    peak_rss_mb: float  # above what the process held after its imports


def ours_ppo(work: Workload) -> Cost:
    """Our PPO on a workload, in this process. For a peak that means something the process has done nothing else before."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    before = resident_mb("VmRSS")
    with tempfile.TemporaryDirectory() as name:
        write_models(work, Path(name))
        training, prompts = _training(work, Path(name))
    forget_peak()
    steps, tokens, began, began_wall = 0.0, 0.0, time.process_time(), time.perf_counter()
    for step in range(work.iterations):
        row = iterate(training, prompts, step)
        steps += row["optimizer_steps"]
        tokens += work.episodes * row["response_tokens"]
    cpu_s, wall_s = time.process_time() - began, time.perf_counter() - began_wall
    episodes = work.iterations * work.episodes
    weights = sum(p.numel() for p in training.actors.policy.parameters())
    peak = resident_mb("VmHWM") - before
    return Cost(weights, cpu_s, wall_s, episodes, round(tokens), int(steps), peak)


def in_a_child(name: str) -> Cost:
    """`ours_ppo` of a named workload in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.training_policy", "child", "--work", name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def write_models(work: Workload, folder: Path) -> None:
    """folder/policy and folder/reward: random weights of the workload's shape, and a tokenizer of as many words."""
    words = {f"w{i}": i for i in range(work.vocabulary)}
    backend = Tokenizer(models.WordLevel(words, unk_token="w1"))  # noqa: S106 - a word
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    last = work.vocabulary - 1
    special = {"eos_token": f"w{last}", "pad_token": "w0"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)  # type: ignore[no-untyped-call]
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = GPT2Config(
        vocab_size=work.vocabulary, n_layer=work.layers, n_embd=work.width, n_head=work.heads, n_positions=work.context,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=last, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(work.seed)
        save_policy(_ending(GPT2LMHeadModel(config), work.ends), tokenizer, folder / "policy")
    save_scalar(ScalarModel.from_policy(folder / "policy", seed=work.seed), tokenizer, folder / "reward")


@torch.no_grad()
def _ending(model: GPT2LMHeadModel, chance: float) -> GPT2LMHeadModel:
    """The same model, whose next token is EOS with about this chance: a constant in its last LayerNorm, read by EOS alone."""
    if chance:
        trunk: Any = model.transformer
        weight_VD: Tensor = trunk.wte.weight
        others = len(weight_VD) - 1
        trunk.ln_f.weight[0], trunk.ln_f.bias[0] = 0.0, 1.0
        weight_VD[:, 0] = 0.0
        weight_VD[-1, 0] = math.log(others * chance / (1 - chance))
    return model


def prompt_rows(work: Workload) -> list[Row]:
    """Prompts of exactly prompt_tokens words, drawn by the seed."""
    draw = torch.Generator().manual_seed(work.seed)
    ids = torch.randint(1, work.vocabulary - 1, (work.prompts, work.prompt_tokens), generator=draw).tolist()
    texts = [" ".join(f"w{i}" for i in row) for row in ids]
    return [{"id": str(n), "prompt": [{"role": "user", "content": text}]} for n, text in enumerate(texts)]


def _training(work: Workload, folder: Path) -> tuple[Training, list[Prompt]]:
    config = {
        "iterations": work.iterations, "episodes": work.episodes, "epochs": work.epochs, "minibatches": work.minibatches,
        "max_new_tokens": work.new_tokens, "ignore_eos": not work.ends, "no_eos_reward": None, "lr": work.lr, "value_lr": work.lr,
        "kl_coef": work.kl_coef, "micro_batch_tokens": work.micro_batch_tokens,
    }  # fmt: skip
    rows = prompt_rows(work)
    inputs = {"model": folder / "policy", "reward": folder / "reward"}
    run = load_run(folder / "run", "ppo", config, data={"train": rows}, inputs=inputs, seed=work.seed)
    cfg = cast(PPOConfig, run.config)
    actors = load_actors(run, torch.device("cpu"), PPO, None)
    training = Training(
        run=run, cfg=cfg, algorithm=PPO, actors=actors, state=new_state(actors, cfg), pretraining=None
    )
    asked = [[int(word[1:]) for word in row["prompt"][0]["content"].split()] for row in rows]
    return training, [Prompt(str(n % len(rows)), [], asked[n % len(rows)]) for n in range(work.episodes)]


def resident_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process, from /proc."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def forget_peak() -> None:
    """Let VmHWM start anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


# --- the command ----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Print a table; the number of bars missed is the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["optimum", "cost", "child"])
    parser.add_argument("--kind", choices=sorted(TRAIN), default="ppo")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", choices=sorted(WORK))
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    if options.what == "optimum":
        faults = missed(optima(options.kind, range(options.seeds)))
        for fault in faults:
            print(f"MISS {fault}")
        return len(faults)
    if options.what == "child":
        print(json.dumps(asdict(ours_ppo(WORK[options.work]))))
        return 0
    print(
        f"{'work':<8}{'weights':>10}{'episodes / CPU s':>18}{'CPU s / iteration':>19}{'tokens':>9}{'steps':>7}{'peak MB':>9}"
    )
    for name in [options.work] if options.work else WORK:
        one, work = in_a_child(name), WORK[name]
        print(
            f"{name:<8}{one.weights:>10,}{one.episodes / one.cpu_s:>18.1f}{one.cpu_s / work.iterations:>19.2f}"
            f"{one.tokens:>9,}{one.optimizer_steps:>7}{one.peak_rss_mb:>9.0f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
