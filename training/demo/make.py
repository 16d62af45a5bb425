"""Make the demo projects on a fresh installation; again changes nothing."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from accounts.models import Project, Role, User
from accounts.services import add_member, create_user
from common.storage import default_store
from inference.services.bases import STARTER
from training.demo.archive import missing_weights, read_archive
from training.demo.real_rankings import make_real_rankings

ARCHIVE = Path(__file__).parent / "archive"

PEOPLE = (
    ("admin", "Ada Admin", Role.ADMIN),
    ("reviewer", "Rui Reviewer", Role.REVIEWER),
    ("labeler", "Lea Labeler", Role.LABELER),
)
"""Who can sign in to a fresh installation, by links that `make up` and `make link` print."""


def make_demo() -> list[Project]:
    """The demo projects with people to sign in as. Raises RuntimeError if the shipped archive does not fit."""
    people = _people()
    # The real rankings first: they need no archive, so they are there whatever is wrong with that.
    projects = [make_real_rankings(actor=people[Role.ADMIN]), _willowby()]
    for project in projects:
        for role, user in people.items():
            if not user.memberships.filter(project=project).exists():
                add_member(project=project, user=user, role=role)
    return projects


@transaction.atomic
def _people() -> dict[Role, User]:
    found = {}
    for username, name, role in PEOPLE:
        known = User.objects.filter(username=username).first()
        found[role] = known or create_user(username=username, display_name=name, is_staff=role == Role.ADMIN)
    return found


def _willowby() -> Project:
    """The project whose first round is over and whose second waits for labelers."""
    # The project's base model is the starter, which the repository holds once.
    default_store().put_folder(STARTER)
    project = read_archive(ARCHIVE)
    if missing := missing_weights(project):
        raise RuntimeError(
            f"The demo's archive does not fit the starter: no weights of {', '.join(missing)}. "
            "Make it anew with: python -m benchmarks.demo_archive"
        )
    return project
