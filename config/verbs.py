"""The verbs behind `make`, inside the prepared environment."""

import os
import subprocess
import sys
from pathlib import Path

from config.prepare import FRONTEND, ROOT, VENV
from config.services.system import ServiceError


def replace(*command: str) -> None:
    """Become `command`."""
    program = VENV / "bin" / command[0]
    os.chdir(ROOT)
    os.execv(program, [str(program), *command[1:]])  # noqa: S606


def test(options: list[str]) -> int:
    """The front end's unit tests, then everything else; the first exit status that is not 0."""
    workers = os.environ.get("PRECEPTOR_TEST_WORKERS", "2")
    commands: list[tuple[Path, list[str | Path]]] = [
        (ROOT, [VENV / "bin" / "python", "-m", "pytest", "-n", workers, *options])
    ]
    if (FRONTEND / "package.json").is_file() and not options:
        commands.insert(0, (FRONTEND, [VENV / "bin" / "npm", "run", "--silent", "test"]))
    codes = [subprocess.run(command, cwd=folder, check=False).returncode for folder, command in commands]  # noqa: S603
    return next((code for code in codes if code), 0)


def main(verb: str, options: list[str]) -> None:
    """Do `verb`."""
    if verb in ("up", "link", "stop"):
        from config import up

        try:
            {"up": up.up, "link": up.link, "stop": up.stop}[verb]()
        except ServiceError as error:
            sys.exit(f"\n{error}")
    elif verb == "test":
        sys.exit(test(options))
    elif verb in ("check", "fmt", "schema"):
        from config import check

        {"check": check.check, "fmt": check.fmt, "schema": check.schema}[verb]()
    elif verb == "bench":
        replace("python", "-m", "benchmarks", *options)
    elif verb.startswith("bench-"):
        replace("python", "-m", f"benchmarks.{verb.removeprefix('bench-')}", *options)
    elif verb == "mutants":
        replace("python", "-m", "benchmarks.mutants", *options)
    elif verb == "demo":
        replace("python", "-m", "benchmarks.demo", *options)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
