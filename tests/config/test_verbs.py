"""What the verbs of `make` become is there."""

import importlib.util
import os

import pytest

from benchmarks.__main__ import ROWS
from config import verbs


@pytest.mark.parametrize(
    "verb", ["demo", "bench", "bench-peers", "bench-resume", "bench-training", "mutants"]
)
def test_the_verb_becomes_a_program_that_exists(verb, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execv", lambda _, words: became.extend(words))
    verbs.main(verb, [])
    assert became[1:2] == ["-m"], became
    module = became[2]
    assert importlib.util.find_spec(module) or importlib.util.find_spec(f"{module}.__main__")


def test_every_row_of_the_benchmarks_can_be_measured():
    assert {"start", "labeling"} <= set(ROWS)
    assert all(hasattr(importlib.import_module(f"benchmarks.{name}"), "rows") for name in ROWS)
