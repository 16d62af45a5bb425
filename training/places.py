"""Where runs keep their folders: <home>/runs/<run>/attempt-<fence>/. Only ids and numbers of ours are part of a path."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.conf import settings


def run_folder(run_id: UUID) -> Path:
    """All attempts of a run."""
    return Path(settings.PRECEPTOR_RUNS_DIR) / str(run_id)


def attempt_folder(run_id: UUID, fence: int) -> Path:
    """What one attempt reads and writes."""
    return run_folder(run_id) / f"attempt-{int(fence)}"
