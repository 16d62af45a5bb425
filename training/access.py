"""Who may see and change rounds, runs and snapshots: reviewers see, admins change; others get 404 or 403."""

from __future__ import annotations

from uuid import UUID

from accounts.access import Viewer, object_for
from accounts.models import Role
from training.models import Round, Run, Snapshot


def round_for(user: Viewer, round_id: UUID, *, at_least: Role = Role.REVIEWER) -> Round:
    """The round, or NotFound; RoleTooLow for a member below `at_least`."""
    found: Round = object_for(user, Round.objects.all(), round_id, at_least=at_least)
    return found


def run_for(user: Viewer, run_id: UUID, *, at_least: Role = Role.REVIEWER) -> Run:
    """The run, or NotFound; RoleTooLow for a member below `at_least`."""
    found: Run = object_for(user, Run.objects.select_related("round"), run_id, at_least=at_least)
    return found


def snapshot_for(user: Viewer, snapshot_id: UUID, *, at_least: Role = Role.REVIEWER) -> Snapshot:
    """The snapshot, or NotFound; RoleTooLow for a member below `at_least`."""
    found: Snapshot = object_for(user, Snapshot.objects.all(), snapshot_id, at_least=at_least)
    return found
