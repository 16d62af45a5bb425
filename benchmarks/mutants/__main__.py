"""Tests of the tests: the two cores are broken on purpose, one small mistake at a time, and a test has to notice.

    make mutants [OPTIONS="--only dropout"]

What counts is an assertion on numbers that fails in one of the named tests: neither a crash nor an import that fails does.
First the same tests run on the code as it is, and pass. The checkout is never edited: each mutation is made in a copy below
a temporary folder. torch and transformers are imported once, and every run is a fork of this process on one thread.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.mutants.table import EXPERIMENTS, MUTATIONS, Mutation
from benchmarks.mutants.trial import NoPlace, Outcome, copy_of_the_code, trial


def warm_up() -> None:
    """Import what takes long and is nobody's own code, with one thread: others would not live on in a fork."""
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    sys.dont_write_bytecode = True
    from safetensors import torch as _safetensors  # noqa: F401 - imported for those who come later
    from transformers import (  # noqa: F401 - the same
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        GPT2ForSequenceClassification,
        GPT2LMHeadModel,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
    )

    gc.freeze()


def verdict(mutation: Mutation, outcome: Outcome) -> str:
    """Empty where a test noticed as it should."""
    if outcome.trouble:
        return outcome.trouble
    if outcome.failure is None:
        return f"SURVIVED: nothing noticed in {', '.join(mutation.tests)}"
    if not outcome.failure.numeric:
        failure = outcome.failure
        return f"NO NUMBER: {failure.error} at {failure.line}: {failure.message[:120]}"
    return ""


def attempt(mutation: Mutation) -> tuple[str, bool]:
    """Its row of the table, and whether it was noticed."""
    head = f"{mutation.name:<52}{mutation.experiment:<5}"
    with tempfile.TemporaryDirectory(prefix="preceptor-mutant-") as name:
        folder = Path(name).resolve()
        try:
            copy_of_the_code(folder, mutation.edits)
        except NoPlace as wrong:
            return f"{head}{'':>8}  NO PLACE: {wrong}", False
        outcome = trial(folder, mutation.tests)
    head += f"{outcome.cpu_seconds:>8.1f}  "
    if trouble := verdict(mutation, outcome):
        return head + trouble, False
    assert outcome.failure is not None
    test = outcome.failure.test.rpartition("::")[2]
    return f"{head}{test}, {outcome.failure.line}: {outcome.failure.message[:90]}", True


def unmutated(mutations: Sequence[Mutation]) -> str:
    """Empty where all tests pass on the code as it is."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    with tempfile.TemporaryDirectory(prefix="preceptor-mutant-") as name:
        copy_of_the_code(Path(name).resolve(), ())
        outcome = trial(Path(name).resolve(), tests)
    if outcome.failure is not None:
        failure = outcome.failure
        return f"{failure.test} fails on the code as it is, {failure.line}: {failure.message[:200]}"
    print(f"{f'none, {len(tests)} tests':<52}{'all':<5}{outcome.cpu_seconds:>8.1f}  pass", flush=True)
    return outcome.trouble


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 where a mutation survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="WORD", help="mutations whose name or experiment has this in it")
    word = parser.parse_args(arguments).only or ""
    chosen = [one for one in MUTATIONS if word in (one.name, one.experiment) or word in one.name]
    if not chosen:
        parser.error(
            f"no mutation has {word!r} in its name; there are: {', '.join(m.name for m in MUTATIONS)}"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that copies are cleared away.
    warm_up()
    print(f"{'mutation':<52}{'':<5}{'CPU s':>8}  noticed by")
    if trouble := unmutated(chosen):
        print(trouble)
        return 1
    survived = 0
    for mutation in chosen:
        row, noticed = attempt(mutation)
        survived += not noticed
        print(row, flush=True)
    print(f"\n{len(chosen) - survived} of {len(chosen)} mutations noticed by an assertion on numbers.")
    for experiment in dict.fromkeys(mutation.experiment for mutation in chosen):
        print(f"  {experiment:<4} {EXPERIMENTS[experiment]}")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
