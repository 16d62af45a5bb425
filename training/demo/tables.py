"""Which rows make up a project, in an order in which they can be put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db.models import Model

from accounts.models import Project


@dataclass(frozen=True)
class Table:
    """A table and the way from one of its rows to the project."""

    name: str
    project: str  # a lookup, as in filter(**{project: ...})

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.name)

    def rows(self, project: Project) -> Iterator[Model]:
        found = self.model._default_manager.filter(**{self.project: project}).order_by("pk")
        yield from found.iterator(chunk_size=1000)


TABLES = (
    Table("inference.ModelVersion", "project"),
    Table("inference.VersionParent", "child__project"),
    Table("inference.SamplingJob", "project"),
    Table("inference.SampleRequest", "job__project"),
    Table("inference.Completion", "version__project"),
    Table("labeling.Prompt", "project"),
    Table("labeling.LeftOut", "project"),
    Table("labeling.Batch", "project"),
    Table("labeling.Tally", "batch__project"),
    Table("labeling.Task", "project"),
    Table("labeling.Candidate", "task__project"),
    Table("labeling.Slot", "project"),
    Table("labeling.Assignment", "project"),
    Table("labeling.Demonstration", "project"),
    Table("labeling.Ranking", "project"),
    Table("labeling.RankedItem", "ranking__project"),
    Table("training.Snapshot", "project"),
    Table("training.SnapshotItem", "snapshot__project"),
    Table("training.Round", "project"),
    Table("training.Run", "project"),
    Table("training.Attempt", "run__project"),
    Table("training.Metric", "run__project"),
    Table("training.Score", "run__project"),
    Table("training.Evaluation", "round__project"),
    Table("accounts.Event", "project"),
)
"""Drafts, skips, links and tokens stay out: an archive holds what was done, not what somebody was doing."""

# Filled anew where the rows arrive: another installation's chain, host and process mean nothing there.
LEFT_BLANK = {
    "accounts.Event": {"chain_seq": None, "chain_sha256": ""},
    "training.Attempt": {"host": "", "pid": None},
}
