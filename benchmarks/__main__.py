"""`make bench`: every row that is measured, one file each; name some to run only these."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Other files here are what the rows and the demo share.
ROWS = sorted(path.stem for path in HERE.glob("*.py") if "\ndef rows(" in path.read_text(encoding="utf-8"))


def main(names: list[str]) -> int:
    """Run the named rows (all by default); the number that missed its bar is the exit status."""
    missed = 0
    for name in names or ROWS:
        if name not in ROWS:
            sys.exit(f"{name}: unknown; there are: {', '.join(ROWS)}")
        for label, value, unit, bar in importlib.import_module(f"benchmarks.{name}").rows():
            good = value <= bar
            missed += not good
            print(
                f"{'ok  ' if good else 'MISS'}  {label:<44}{value:9.1f} {unit:<4} bar {bar:g} {unit}",
                flush=True,
            )
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
