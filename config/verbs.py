"""The verbs behind `make`, inside the prepared environment."""

import os
import sys

from config.prepare import ROOT, VENV


def replace(*command: str) -> None:
    """Become `command`."""
    program = VENV / "bin" / command[0]
    os.chdir(ROOT)
    os.execv(program, [str(program), *command[1:]])  # noqa: S606


def main(verb: str, options: list[str]) -> None:
    """Do `verb`."""
    if verb in ("up", "link", "stop"):
        from config import up

        {"up": up.up, "link": up.link, "stop": up.stop}[verb]()
    elif verb == "test":
        replace("python", "-m", "pytest", "-n", os.environ.get("PRECEPTOR_TEST_WORKERS", "2"), *options)
    elif verb in ("check", "fmt", "schema"):
        from config import check

        {"check": check.check, "fmt": check.fmt, "schema": check.schema}[verb]()
    elif verb == "bench":
        replace("python", "-m", "benchmarks", *options)
    elif verb == "demo":
        replace("python", "manage.py", "demo", *options)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
