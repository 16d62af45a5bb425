"""SFT, reward models and PPO against TRL on this CPU, one table: `make bench-training`, after `make bench-peers`.

    make bench-training [OPTIONS="--quick"] [OPTIONS="--only sft reward race optimum ppo gpu"] [OPTIONS=--json]

The peers run as child processes with interpreters of their own; both sides take turns, one thread each, float32. Ratios are
of CPU seconds, so that a busy machine changes them little; those of wall time stand beside and count on an idle machine.
Two sections run at once where there are two cores (lanes.py), and each prints its rows when it ends.
docs/develop/benchmarks.md says what each row means. The exit status is the number of bars that were missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from transformers.utils import logging

from benchmarks import gpu, lanes
from benchmarks.peers import ppo, reward, sft
from benchmarks.peers.call import PeerFailed
from benchmarks.peers.environments import RELEASES, python_of
from benchmarks.peers.rows import HEADER, Row

Rows = Iterator[Row]


class Size(NamedTuple):
    """How much of everything: the full table in about half an hour on two cores, the quick one in a few minutes."""

    dialogues: int
    repeats: int
    rankings: Sequence[tuple[int, int]]  # ours and the peer's, for each of reward.SHAPES
    race: reward.Race
    optimum: Mapping[str, int]  # seeds of each algorithm
    work: Sequence[str]


FULL = Size(
    384,
    2,
    ((20, 20), (20, 20), (20, 6)),
    reward.Race(),
    {"ppo": 5, "rloo": 3},
    ("E6", "1.35M", "fixed", "32k"),
)
QUICK = Size(
    96, 1, ((8, 4), (4, 2), (2, 1)), reward.Race(rankings=10, held_out=20, seeds=1, rates=(3e-4,), passes=2),
    {"ppo": 1}, ("E6", "32k"),
)  # fmt: skip

SECTIONS: dict[str, Callable[[Size, int], Rows]] = {
    "sft": lambda size, seed: sft.rows(size.dialogues, seed),
    "reward": lambda size, seed: reward.pass_rows(size.rankings, 1, seed),
    "race": lambda size, seed: reward.race_rows(size.race, seed),
    "optimum": lambda size, seed: ppo.optimum_rows(seed, size.optimum),
    "ppo": lambda size, seed: ppo.cost_rows(size.work, size.repeats),
    "gpu": lambda size, seed: gpu.rows(),
}

LONGEST_FIRST = ("race", "optimum", "ppo", "sft", "reward", "gpu")


def conditions(seed: int) -> dict[str, object]:
    """What the numbers hang on."""
    ours = {name: version(name) for name in ("torch", "transformers", "accelerate")}
    return {
        "cpu": cpu_model(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "threads": torch.get_num_threads(),
        "python": platform.python_version(), "seed": seed, "ours": ours, "trl": [f"{one}.0" for one in RELEASES],
    }  # fmt: skip


def cpu_model() -> str:
    """As the kernel calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table as it comes; the number of bars missed is the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="everything at its smallest, in a few minutes")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    parser.add_argument("--lane", type=int, metavar="CORE", help="stay on this core and print rows alone")
    options = parser.parse_args(arguments)
    if missing := [one for one in RELEASES if not python_of(one).exists()]:
        sys.exit(f"TRL {' and '.join(missing)} is not there. Make it by `make bench-peers`.")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the children
    torch.set_num_threads(1)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers has no types here
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if options.lane is not None:
        lanes.stay_on(options.lane)
        return sum(_print_rows(name, options) for name in options.only)
    began, about = time.monotonic(), conditions(options.seed)
    print(json.dumps(about) if options.json else "  ".join(f"{k} {v}" for k, v in about.items()))
    if not options.json:
        print(HEADER, flush=True)
    how = [*(["--quick"] if options.quick else []), *(["--json"] if options.json else [])]
    # The longest first, so that none is left to run alone at the end.
    names = sorted(options.only, key=LONGEST_FIRST.index)
    missed = lanes.run_sections(
        "benchmarks.training", [["--only", name, "--seed", str(options.seed), *how] for name in names]
    )
    if not options.json:
        print(f"{(time.monotonic() - began) / 60:.1f} minutes; {missed} of the bars missed")
    return missed


def _print_rows(name: str, options: argparse.Namespace) -> int:
    """The rows of a section; how many missed their bar."""
    missed = 0
    for row in _rows(name, QUICK if options.quick else FULL, options.seed):
        missed += row.holds is False
        as_json = json.dumps(asdict(row) | {"section": name, "verdict": row.verdict})
        print(as_json if options.json else row, flush=True)
    return missed


def _rows(name: str, size: Size, seed: int) -> Rows:
    """A section; where a peer fails, a row says so, and the other sections go on."""
    try:
        yield from SECTIONS[name](size, seed)
    except PeerFailed as failed:
        print(failed, file=sys.stderr)
        yield Row(what=f"{name}: the peer failed", bar="-", holds=False, note=str(failed).splitlines()[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
