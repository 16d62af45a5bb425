"""A state is written by the two helpers that know the table of legal moves, or by SQL that is held to it here."""

import ast
import importlib
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import files, name, tree

APPS = ("inference", "labeling", "training")
HELPERS = {"move", "move_rows"}
SQL = re.compile(r"\bSET\s+state = '(\w+)'")


def tables(app: str) -> dict[str, dict[str, set[str]]]:
    states = importlib.import_module(f"{app}.states")
    return {key: value for key, value in vars(states).items() if key.endswith("_MOVES")}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                yield name(path), node


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_no_state_is_written_past_the_helpers():
    hits = [
        f"{path}:{node.lineno}"
        for path, node in calls()
        if called(node) in ("update", "bulk_update") and any(word.arg == "state" for word in node.keywords)
    ]
    assert [hit for hit in hits if not hit.startswith("common/state_machine.py:")] == []
    assert len(hits) == 1, "the helper's own one is how this test knows that it can find one"


def test_every_state_that_a_call_names_can_be_reached():
    found = 0
    for path, node in calls():
        app = path.split("/")[0]
        if called(node) not in HELPERS or app not in APPS or not isinstance(node.args[1], ast.Attribute):
            continue
        target, table = node.args[1], ast.unparse(node.args[2])
        states = importlib.import_module(f"{app}.states")
        if isinstance(target.value, ast.Name) and hasattr(states, target.value.id):
            state = getattr(getattr(states, target.value.id), target.attr)
            assert any(state in goals for goals in tables(app)[table].values()), f"{path}:{node.lineno}"
            found += 1
    assert found > 15


@pytest.mark.parametrize(("app", "least"), [("labeling", 4), ("training", 1)])
def test_every_state_that_sql_sets_can_be_reached(app, least):
    goals = {str(goal) for table in tables(app).values() for ends in table.values() for goal in ends}
    texts = [path.read_text(encoding="utf-8") for path in files() if path.parts[-3] == app]
    found = [state for text in texts for state in SQL.findall(text)]
    assert len(found) >= least
    assert set(found) <= goals


@pytest.mark.parametrize("app", APPS)
def test_every_table_is_used_and_every_state_stands_in_it(app):
    source = "\n".join(path.read_text(encoding="utf-8") for path in files() if path.name != "states.py")
    for key, table in tables(app).items():
        assert re.search(rf"\b{key}\b", source), f"{key} is used by nobody"
        kind = type(next(iter(table)))
        assert {str(end) for ends in table.values() for end in ends} <= set(kind.values)
