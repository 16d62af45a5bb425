"""Make the peers' environments: `make bench-peers`. About 1.5 GB each where no hard links can be made."""

import sys

from benchmarks.peers.environments import make
from config.steps import StepFailed, Steps

if __name__ == "__main__":
    try:
        make(Steps())
    except StepFailed as failed:
        sys.exit(f"\n{failed}")
