"""The peers' environments: a virtual environment for each release of TRL, apart from the product's own.

TRL removed its PPO after 1.12, so that one stands beside the current release. Both have the torch, transformers and
accelerate that the product is measured with.
"""

from __future__ import annotations

import sys
from pathlib import Path

from config.prepare import ROOT, Installer, Stamp
from config.steps import Steps, run

PEERS = ROOT / ".peers"
HERE = Path(__file__).resolve().parent
RELEASES = ("1.16", "1.12")


def python_of(release: str) -> Path:
    """The interpreter that has this release of TRL."""
    return PEERS / f"trl-{release}" / "bin" / "python"


def make(steps: Steps) -> None:
    """Make what is missing or made from other requirements; quick when nothing is."""
    for release in RELEASES:
        python, wanted = python_of(release), HERE / f"requirements-trl-{release}.txt"
        sources = [wanted.relative_to(ROOT).as_posix(), "constraints.txt"]
        stamp = Stamp(PEERS / f"trl-{release}" / ".preceptor", ROOT, sources, sys.version)
        if stamp.is_fresh():
            continue
        with steps.step(f"TRL {release}"):
            if not python.exists():
                run(f"TRL {release}", [sys.executable, "-m", "venv", PEERS / f"trl-{release}"], folder=ROOT)
            Installer(python, steps.say).install(["-r", str(wanted)])
        stamp.write()
