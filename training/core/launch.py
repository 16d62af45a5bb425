"""One run on several processes of this machine, with the manners of one process.

    python -m training.core.launch 4 sft runs/2/run.json

This is torchrun (torch.distributed.launcher) with what a supervisor counts on added: it leaves when the held pipe closes,
passes SIGINT and SIGTERM on once, and ends as its ranks ended: 0, 1 with error.json, 130 or 143 with a checkpoint, or by
the signal that killed a rank. Ranks leave when it is gone (run_folder.leave_with_parent).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from training.core.config import KINDS
from training.core.run_folder import clear_errors, leave_with_parent


def main(arguments: list[str]) -> int:
    if len(arguments) != 3 or not arguments[0].isdecimal() or arguments[1] not in KINDS:
        sys.stderr.write(__doc__ or "")
        return 2
    count, kind, path = arguments[0], arguments[1], Path(arguments[2]).resolve()
    leave_with_parent()
    # Ranks do not inherit the pipe; by its number they would read another file.
    os.environ.pop("PRECEPTOR_HELD_FD", None)
    clear_errors(path.parent)
    code = _launch(int(count), ["-m", "training.core", kind, str(path)])
    if code >= 0:
        return code
    if (path.parent / "error.json").exists():
        return 1  # A rank has said why, and the launcher killed what was left.
    if code != -signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)  # A rank was killed: whoever waits for this process has to see that.
    return 128 - code


def _launch(count: int, command: list[str]) -> int:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=count, run_id="preceptor", max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1",
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as failed:
        return code_of(failure.exitcode for failure in failed.failures.values())
    except SignalException as stopped:
        return 128 + stopped.sigval.value
    return 0


def code_of(codes: Iterable[int]) -> int:
    """How a run ended whose ranks ended so. A rank that lost another ends with 1, so whatever is not 1 tells more; the launcher
    itself sends SIGTERM to what is left after a failure."""
    telling = [code for code in codes if code not in (0, 1, -signal.SIGTERM)]
    return min(telling, default=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
