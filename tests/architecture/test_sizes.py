"""Small files and functions that a reader can hold in the head."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import ROOT, files, name, tree

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_TRAINING_LOOP = 80
LONGEST_TYPESCRIPT = 400


def test_no_python_file_is_longer_than_400_lines():
    tests = sorted((ROOT / "tests").rglob("*.py"))
    assert [name(p) for p in (*files(), *tests) if len(p.read_text().splitlines()) > LONGEST_FILE] == []


def test_no_function_is_longer_than_60_lines():
    too_long = [
        f"{name(path)}:{node.lineno} {node.name} has {length} lines"
        for path in files()
        for node, length in functions(path)
        if length > (LONGEST_TRAINING_LOOP if "training/core" in name(path) else LONGEST_FUNCTION)
    ]
    assert too_long == []


def test_no_typescript_file_is_longer_than_400_lines():
    sources = [*(ROOT / "frontend" / "src").rglob("*.ts"), *(ROOT / "frontend" / "src").rglob("*.tsx")]
    texts = {"locales", "i18n"}  # Translations are lists.
    found = [p for p in sources if ".gen." not in p.name and not texts & set(p.parts)]
    assert [name(p) for p in found if len(p.read_text().splitlines()) > LONGEST_TYPESCRIPT] == []


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, (node.end_lineno or 0) - node.lineno + 1
