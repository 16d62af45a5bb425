"""From a bare Python to a ready environment, then on to the verb: `python3 -m config.bootstrap up`.

Standard library only, because it runs before anything is installed. Does only what is stale: a stamp of what a
step read lies beside what it made.
"""

from __future__ import annotations

import sys

OLDEST, NEWEST = (3, 11), (3, 13)
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    import os
    import shutil

    # Another interpreter may be there under its full name.
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which("python3.%d" % minor)  # noqa: UP031 - must parse in old versions
        if path:
            os.execv(path, [path, "-m", "config.bootstrap"] + sys.argv[1:])  # noqa: RUF005, S606 - as above
    sys.exit(
        "Preceptor needs Python 3.11, 3.12 or 3.13; this is %d.%d. Install one and run again, or name it: "  # noqa: UP031 - as above
        "make up PYTHON=/path/to/python3.12" % sys.version_info[:2]
    )

import os

from config.prepare import Checkout
from config.steps import StepFailed, Steps

# What each verb needs before it starts, and what it runs.
NEEDS = {
    "up": ("run", "pages"),
    "link": ("run",),
    "stop": ("run",),
    "test": ("dev", "pages", "browser"),
    "check": ("dev", "modules"),
    "demo": ("dev", "pages"),
    "bench": ("dev", "pages", "browser"),
    "bench-sampling": ("dev",),
    "bench-resume": ("dev",),
    "mutants": ("dev",),
    "bench-peers": ("dev",),
    "bench-training": ("dev",),
    "fmt": ("dev", "modules"),
    "schema": ("dev", "modules"),
    "clean": (),
    "setup": ("dev", "pages"),
}


def main(verb: str, options: list[str]) -> None:
    """Prepare what `verb` needs, then become it."""
    steps = Steps()
    checkout = Checkout(steps)
    try:
        for need in NEEDS[verb]:
            getattr(checkout, need)()
    except StepFailed as failed:
        sys.exit(f"\n{failed}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run it again to go on.")
    if verb == "clean":
        checkout.clean()
    elif verb != "setup":
        python = str(checkout.python)
        os.environ["PRECEPTOR_BEGAN"] = str(steps.began)  # CLOCK_MONOTONIC is one clock for all processes.
        os.execve(python, [python, "-m", "config.verbs", verb, *options], checkout.variables())  # noqa: S606


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NEEDS:
        sys.exit(f"usage: python3 -m config.bootstrap {{{'|'.join(NEEDS)}}}")
    main(sys.argv[1], sys.argv[2:])
