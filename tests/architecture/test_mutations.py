"""`make mutants` can be run on the code as it is: each mutation finds its place, and the tests that should notice exist."""

import ast

import pytest

from benchmarks.mutants.table import EXPERIMENTS, MUTATIONS, Mutation
from tests.architecture.source import ROOT


def test_every_experiment_of_the_table_has_a_mutation():
    assert {one.experiment for one in MUTATIONS} == set(EXPERIMENTS)
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_has_its_place_and_its_tests(mutation: Mutation):
    for edit in mutation.edits:
        text = (ROOT / edit.file).read_text(encoding="utf-8")
        assert text.count(edit.old) == 1, edit.old
        assert edit.new != edit.old
        ast.parse(text.replace(edit.old, edit.new))  # A test can fail on a number only where there is code.
    for test in mutation.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), test
