"""Labelers who are programs: they make a demo move. What they write is marked synthetic, everywhere and for ever.

They work as people do: they lease tasks from the queue and submit answers through the same services. Demonstrations
are good answers of the demo's world; rankings follow a hidden, noisy preference that no training code can import.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from accounts.models import Project, Role, User
from accounts.services import add_member, create_user
from labeling.demo.answers import good_answer
from labeling.demo.preference import rank, taste_of
from labeling.models import Assignment, Batch, TaskKind
from labeling.selectors.payload import AssignmentPayload
from labeling.services.assignment import next_assignment, release
from labeling.services.submissions import submit_demonstration, submit_ranking
from labeling.states import BatchState

NAMES = ("Ada", "Bo", "Cleo", "Dev")


def simulated_labelers(*, project: Project, count: int = len(NAMES)) -> list[User]:
    """The project's simulated labelers, made and invited where they are not there yet."""
    if not 1 <= count <= len(NAMES):
        raise ValueError(f"count is {count}; there are 1 to {len(NAMES)} simulated labelers.")
    return [_labeler(project, name) for name in NAMES[:count]]


def simulate_batch(*, batch: Batch, labelers: Sequence[User], seed: int = 0) -> int:
    """Let simulated labelers work in turn until the batch has what it wants or they find no more to do.

    Returns the number of answers they gave to this batch. May run twice: what is answered stays answered, and a task is
    answered the same way again. Each answer is a transaction of its own, so a killed worker loses nothing.
    Raises ValueError for a labeler who is a person.
    """
    if people := [one.username for one in labelers if not one.is_synthetic]:
        raise ValueError(f"{people[0]} is no simulated labeler; only those answer by themselves.")
    given, working = 0, list(labelers)
    while working:
        for labeler in list(working):
            batch.refresh_from_db(fields=["state"])
            task = _next(batch, labeler) if batch.state == BatchState.OPEN else None
            if task is None:
                working.remove(labeler)
                continue
            _answer(*task, seed)
            given += task[0].task.batch_id == batch.pk
    return given


def _labeler(project: Project, name: str) -> User:
    username = f"simulated-{name.lower()}"
    user = User.objects.filter(username=username).first() or create_user(
        username=username, display_name=f"{name} (simulated)", is_synthetic=True
    )
    if not user.memberships.filter(project=project).exists():
        add_member(project=project, user=user, role=Role.LABELER)
    return user


def _next(batch: Batch, labeler: User) -> tuple[Assignment, AssignmentPayload] | None:
    """The labeler's next task and what its page would show; None when there is none or the batch has all it wants."""
    payload = next_assignment(project=batch.project, labeler=labeler, kinds=[batch.kind])["assignment"]
    if payload is None:
        return None
    assignment = Assignment.objects.select_related("task__batch", "task__prompt", "project", "labeler").get(
        pk=payload["id"]
    )
    if assignment.task.batch_id == batch.pk and payload["progress"]["done"] >= payload["progress"]["quota"]:
        release(assignment=assignment)
        return None
    return assignment, payload


def _answer(assignment: Assignment, payload: AssignmentPayload, seed: int) -> None:
    labeler = assignment.labeler
    prompt = payload["prompt"]["messages"][-1]["content"]
    lot = int.from_bytes(hashlib.sha256(f"{seed}:{labeler.username}:{prompt}".encode()).digest()[:6])
    key = f"simulated:{assignment.pk}:{seed}"
    if payload["kind"] == TaskKind.DEMONSTRATION:
        text = good_answer(prompt, lot)
        submit_demonstration(assignment=assignment, text=text, key=key, fingerprint=_fingerprint(text))
        return
    shown = payload["candidates"]
    noise = random.Random(lot)  # noqa: S311 - reproducible noise, no secret
    # Sorted by text, so that the noise a text meets does not hang on the place where it was shown.
    order = sorted(range(len(shown)), key=lambda place: shown[place]["text"])
    found = rank(prompt, [shown[place]["text"] for place in order], taste_of(labeler.username), noise)
    tiers = [[shown[order[place]]["id"] for place in tier] for tier in found]
    submit_ranking(assignment=assignment, tiers=tiers, key=key, fingerprint=_fingerprint(repr(tiers)))


def _fingerprint(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
