"""Who did how much, how fast, and how far labelers agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, groupby
from operator import itemgetter
from typing import Any, TypedDict
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Sum

from accounts.access import Viewer, membership_for
from accounts.models import Project, Role, User
from accounts.services import pseudonym
from labeling.agreement import PairCounts, compare
from labeling.models import RankedItem, Ranking, Tally


class LabelerQuality(TypedDict):
    """One labeler; by name for admins, else by pseudonym."""

    labeler: str
    pseudonym: str
    is_you: bool
    is_synthetic: bool
    answers: int
    skips: int
    median_seconds: float | None


class Agreement(TypedDict):
    """Over all pairs of labelers who ranked the same task; see labeling/agreement.py."""

    strict: float | None
    half: float | None
    exact: float | None
    tau_b: float | None
    pairs: int


class Quality(TypedDict):
    """The quality page."""

    by_labeler: list[LabelerQuality]
    agreement: Agreement | None


def quality(project: Project, viewer: Viewer) -> Quality:
    """Labelers get their own row alone: what others do must not steer them. Reviewers and admins get everything."""
    role = membership_for(viewer, project.pk).role
    own = viewer.pk if role == Role.LABELER else None
    rows = Tally.objects.filter(batch__project=project)
    if own is not None:
        rows = rows.filter(labeler_id=own)
    sums = {
        labeler: (answers, skips)
        for labeler, answers, skips in rows.values_list("labeler_id")
        .annotate(Sum("answers"), Sum("skips"))
        .order_by()
    }
    medians = _medians(project.pk)
    people = User.objects.in_bulk(list(sums))
    by_labeler = [
        LabelerQuality(
            labeler=people[one].display_name or people[one].username
            if role == Role.ADMIN or one == viewer.pk
            else pseudonym(project, one),
            pseudonym=pseudonym(project, one),
            is_you=one == viewer.pk,
            is_synthetic=people[one].is_synthetic,
            answers=answers,
            skips=skips,
            median_seconds=medians.get(one),
        )
        for one, (answers, skips) in sums.items()
    ]
    by_labeler.sort(key=lambda row: (-row["answers"], row["labeler"]))
    return {"by_labeler": by_labeler, "agreement": None if own is not None else agreement_in(project)}


MEDIANS = """
SELECT labeler_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY active_ms) / 1000.0 FROM (
    SELECT labeler_id, active_ms FROM labeling_ranking WHERE project_id = %(project)s AND is_latest AND active_ms > 0
    UNION ALL
    SELECT labeler_id, active_ms FROM labeling_demonstration WHERE project_id = %(project)s AND is_latest AND active_ms > 0
) AS answers GROUP BY labeler_id
"""


def _medians(project_id: UUID) -> dict[UUID, float]:
    """Median active seconds of each labeler; imported answers and bare API clients have no time."""
    with connection.cursor() as cursor:
        cursor.execute(MEDIANS, {"project": project_id})
        return {labeler: round(float(seconds), 1) for labeler, seconds in cursor.fetchall()}


def agreement_in(project: Project) -> Agreement:
    """Over every task that two or more people ranked; forced ties are left out. tau-b is the mean over comparisons."""
    total, taus = PairCounts(), []
    for rankings in _rankings_by_task(project):
        for first, second in combinations(rankings, 2):
            counts = compare(first, second)
            total += counts
            if counts.tau_b is not None:
                taus.append(counts.tau_b)
    tau = sum(taus) / len(taus) if taus else None
    return {
        "strict": total.strict,
        "half": total.half,
        "exact": total.exact,
        "tau_b": tau,
        "pairs": total.pairs,
    }


def _rankings_by_task(project: Project) -> Iterator[list[dict[str, int]]]:
    counting = Ranking.objects.filter(is_latest=True, is_late=False)
    another = counting.filter(task=OuterRef("ranking__task")).exclude(pk=OuterRef("ranking"))
    items = RankedItem.objects.filter(
        Exists(another),
        ranking__project=project,
        ranking__is_latest=True,
        ranking__is_late=False,
        is_forced=False,
    ).order_by("ranking__task", "ranking")
    columns: Any = items.values_list("ranking__task", "ranking", "candidate", "rank").iterator(
        chunk_size=5000
    )
    for _, of_task in groupby(columns, key=itemgetter(0)):
        rankings: dict[UUID, dict[str, int]] = defaultdict(dict)
        for _, ranking, candidate, rank in of_task:
            rankings[ranking][str(candidate)] = rank
        yield list(rankings.values())
