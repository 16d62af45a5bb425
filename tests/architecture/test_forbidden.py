"""What must not be in the code, because each of these has been somebody's hole or trap."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, files, name, tree

BROAD = {"Exception", "BaseException"}
# The edges of processes, where anything may come up and must end as a row or a file that a person can read.
EDGES = {
    "inference/runner.py",  # a sampling job fails, the sampler lives on
    "training/control.py",  # one part of the loop fails, the others go on
    "training/core/__main__.py",  # error.json, whatever it was
    "training/runner/supervisor.py",  # a run fails, the worker lives on
}

GATES = {
    r"\btorch\.load\b": "pickle runs code; weights are safetensors",
    r"^\s*(import|from) (pickle|joblib|dill|shelve|marshal)\b": "pickle runs code; use JSON or safetensors",
    r"\bpickle\.loads?\b": "pickle runs code",
    r"allow_pickle\s*=\s*True": "pickle runs code",
    r"\byaml\.load\(": "runs constructors; use safe_load",
    r"\bmark_safe\b|\|\s*safe\b": "hostile text must never be HTML",
    r"\bdangerouslySetInnerHTML\b|\.innerHTML\b": "hostile text must never be HTML",
    r"shell\s*=\s*True": "no shell between us and a child",
    r"trust_remote_code\s*=\s*True": "a model's folder must not bring code",
    r"\bos\.system\(": "no shell between us and a child",
    r"^\s*@receiver\b|_(save|delete|init)\.connect\(": "a signal hides who calls whom; call a service",
    r"\.delay\(|\.apply_async\(": "inside a transaction the worker may see nothing; use common.celery.enqueue",
    r"\bsend_task\(": "inside a transaction the worker may see nothing; use common.celery.enqueue",
}
# Where a gated thing is done for all others.
HOMES = {r"\bsend_task\(": "common/celery.py"}


def sources() -> list[Path]:
    scripts = [*(ROOT / "frontend" / "src").rglob("*.ts"), *(ROOT / "frontend" / "src").rglob("*.tsx")]
    pages = [*(ROOT / "config" / "templates").rglob("*.html")]
    return [*files(), ROOT / "manage.py", *scripts, *pages]


@pytest.mark.parametrize("pattern", GATES)
def test_it_is_nowhere(pattern):
    found = re.compile(pattern, re.MULTILINE)
    hits = [
        f"{name(path)}:{text.count(chr(10), 0, match.start()) + 1}"
        for path in sources()
        if name(path) != HOMES.get(pattern) and (text := without_prose(path))
        for match in found.finditer(text)
    ]
    assert hits == [], GATES[pattern]


def test_the_gates_can_fail():
    assert all(re.search(pattern, text, re.MULTILINE) for pattern, text in zip(GATES, EXAMPLES, strict=True))


EXAMPLES = [
    "torch.load(path)", "import pickle", "pickle.loads(x)", "np.load(f, allow_pickle=True)", "yaml.load(x)",
    "mark_safe(x)", "<p dangerouslySetInnerHTML={x}/>", "run(x, shell=True)", "f(trust_remote_code=True)",
    "os.system(x)", "@receiver(post_save)", "task.delay(1)",
    "app.send_task(name)",
]  # fmt: skip


def test_broad_excepts_stand_only_at_the_edges_and_once_in_each():
    found = [
        name(path)
        for path in files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not raises_again(node)
    ]
    assert sorted(set(found) - EDGES) == []
    assert len(found) == len(set(found)), found


def test_every_exception_to_a_lint_rule_gives_its_reason():
    bare = re.compile(r"# noqa(: ?[A-Z0-9, ]+)?$")
    obvious = re.compile(r"# noqa: (F401|E402|S603|S606|S310|FBT001|E731)$")
    hits = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) and not obvious.search(line)
    ]
    assert hits == []


def is_broad(node: ast.ExceptHandler) -> bool:
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(one is None or (isinstance(one, ast.Name) and one.id in BROAD) for one in caught)


def raises_again(node: ast.ExceptHandler) -> bool:
    return isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None


def without_prose(path: Path) -> str:
    """The file's text with docstrings and comments blanked, so that a rule may be named where it is explained."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return re.sub(r"^\s*(//|\*).*$", "", text, flags=re.MULTILINE)
    lines = text.splitlines()
    for node in ast.walk(tree(path)) if path.name != "manage.py" else ():
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            for number in range(node.lineno - 1, node.end_lineno or 0):
                lines[number] = ""
    return "\n".join(re.sub(r"(^|\s)#.*$", "", line) for line in lines)
