"""`make check`, `make fmt`, `make schema`: everything that can be said about the code without running the product."""

import difflib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from config.prepare import FRONTEND, ROOT, VENV
from config.steps import StepFailed, Steps, run

OPENAPI = ROOT / "docs" / "openapi.json"
PAGES = {  # Pages that the code writes about itself -> the module that prints each.
    ROOT / "docs" / "run" / "metrics.md": "training.core.glossary",
    ROOT / "docs" / "run" / "training-settings.md": "training.handbook",
}
TYPES = FRONTEND / "src" / "api" / "schema.gen.ts"
BIN = VENV / "bin"


def check() -> None:
    """Run every gate, also after one failed, and exit 1 if any did."""
    steps = Steps()
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="preceptor-check-") as folder:
        _private_settings(Path(folder))
        for name, gate in gates(Path(folder)).items():
            try:
                with steps.step(name):
                    gate()
            except StepFailed as wrong:
                failed.append(name)
                steps.say(f"{wrong}\n")
    if failed:
        sys.exit(f"\n{len(failed)} of {len(gates(Path()))} gates failed: {', '.join(failed)}")
    steps.say(f"\nAll is well ({steps.seconds():.0f} s).")


def gates(folder: Path) -> dict[str, Callable[[], object]]:
    """Name and function of each gate, the quick ones first."""
    found: dict[str, Callable[[], object]] = {
        "Lint": lambda: _python("ruff", "check", "."),
        "Format": lambda: _python("ruff", "format", "--check", "."),
        "Dead code": lambda: _python("vulture"),
        "Import rules": lambda: _python("lint-imports"),
        "Architecture": lambda: _python("pytest", "-q", "-p", "no:cacheprovider", "tests/architecture"),
        "Migrations": lambda: _manage("makemigrations", "--check", "--dry-run"),
        "Deployment": _deployment,
        "OpenAPI file": lambda: _same(OPENAPI, _openapi(folder)),
        "Written pages": lambda: _written_pages(folder),
        "Types": lambda: _python("mypy"),
    }
    if (FRONTEND / "package.json").is_file():
        found |= {
            "TypeScript from OpenAPI": lambda: _same(TYPES, _types(folder)),
            "TypeScript": lambda: _npm("typecheck"),
            "TypeScript lint": lambda: _npm("lint"),
        }
    return found


def fmt() -> None:
    """Format Python and let both linters correct what they can."""
    steps = Steps()
    steps.run("Format", [BIN / "ruff", "format", "."], folder=ROOT)
    steps.run("Lint", [BIN / "ruff", "check", "--fix", "--exit-zero", "."], folder=ROOT)
    if (FRONTEND / "package.json").is_file():
        steps.run("TypeScript lint", [BIN / "npm", "run", "lint", "--", "--fix"], folder=FRONTEND)


def schema() -> None:
    """Write the OpenAPI file, the TypeScript types made from it, and the pages that the code writes."""
    steps = Steps()
    try:
        with tempfile.TemporaryDirectory(prefix="preceptor-schema-") as folder, steps.step("Schema"):
            _private_settings(Path(folder))
            OPENAPI.write_bytes(_openapi(Path(folder)).read_bytes())
            for page, module in PAGES.items():
                page.write_bytes(_printed(module, Path(folder)).read_bytes())
            if (FRONTEND / "package.json").is_file():
                TYPES.write_bytes(_types(Path(folder)).read_bytes())
    except StepFailed as failed:
        sys.exit(str(failed))


def _private_settings(folder: Path) -> None:
    """No gate needs a database; all need a key, and none may touch the data of this machine's user."""
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY_FILE", "PRECEPTOR_PUBLIC_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "PRECEPTOR_HOME": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(64),
        # makemigrations asks for the history of a database and warns when there is none.
        "PYTHONWARNINGS": "ignore:Got an error checking a consistent migration history",
    }


def _python(*words: str) -> str:
    return run(words[0], [BIN / words[0], *words[1:]], folder=ROOT)


def _manage(*words: str, **changes: str) -> str:
    command: list[str | Path] = [BIN / "python", "manage.py", *words]
    return run(words[0], command, folder=ROOT, environment={**os.environ, **changes})


def _npm(script: str) -> str:
    return run(script, [BIN / "npm", "run", "--silent", script], folder=FRONTEND, environment=_with_node())


def _with_node() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}


def _deployment() -> None:
    """The settings of a production start, as Django judges them."""
    _manage(
        "check", "--deploy", "--fail-level", "WARNING", PRECEPTOR_PUBLIC_URL="https://preceptor.example.org"
    )


def _openapi(folder: Path) -> Path:
    made = folder / "openapi.json"
    _manage("spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn", "--file", str(made))
    return made


def _written_pages(folder: Path) -> None:
    for page, module in PAGES.items():
        _same(page, _printed(module, folder))


def _printed(module: str, folder: Path) -> Path:
    made = folder / f"{module}.md"
    made.write_text(_python("python", "-m", module))
    return made


def _types(folder: Path) -> Path:
    made = folder / "schema.gen.ts"
    program = FRONTEND / "node_modules" / ".bin" / "openapi-typescript"
    run("openapi-typescript", [program, OPENAPI, "-o", made], folder=FRONTEND, environment=_with_node())
    return made


def _same(kept: Path, made: Path) -> None:
    old = kept.read_text().splitlines() if kept.exists() else []
    difference = list(
        difflib.unified_diff(old, made.read_text().splitlines(), "committed", "made now", n=1, lineterm="")
    )
    if difference:
        shown = "\n".join(f"    {line[:160]}" for line in difference[:30])
        raise StepFailed(f"{kept.relative_to(ROOT)} is not what the code says. Run: make schema\n{shown}")
