"""A project of real prompts and real K-way rankings by people, for looking at, ranking and export."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from accounts.models import Project, User
from accounts.services import create_project
from labeling.services.ranking_imports import import_rankings

FILES = Path(__file__).resolve().parent.parent.parent / "labeling" / "demo_data"
"""Sources and licences of the files: LICENCES.md beside them."""

NAME = "Real rankings"
DESCRIPTION = (
    "Real prompts, answers of real systems, and how people ordered them: Chinese-English translation (WMT 2023 MQM), answers "
    "to questions (QA-Feedback), assistant dialogues (Open-Assistant); all Apache-2.0, sources in labeling/demo_data/LICENCES.md. "
    "The same answers also wait for your own order, so that you can compare it with theirs. 真实的提示、回答和人工排序。"
)


class Source(NamedTuple):
    """One file: its title, and the version that wrote answers without a named system."""

    file: str
    title: str
    unnamed: str


SOURCES = (
    Source("wmt23_zh_en.jsonl.gz", "Translation, WMT 2023", "wmt23-system"),
    Source("qa_feedback_k4.jsonl.gz", "Questions and answers, QA-Feedback", "qa-feedback-model"),
    Source("oasst_en.jsonl.gz", "Assistant dialogues, Open-Assistant", "open-assistant"),
)


@transaction.atomic
def make_real_rankings(*, actor: User) -> Project:
    """The project, made if it is not there. `actor` becomes its admin."""
    known = Project.objects.filter(name=NAME, is_demo=True).first()
    if known is not None:
        return known
    project = create_project(name=NAME, description=DESCRIPTION, creator=actor, is_demo=True)
    for source in SOURCES:
        # Small files: the import wants a stream of lines, and gzip's own is slow at that.
        rows = io.BytesIO(gzip.decompress((FILES / source.file).read_bytes()))
        import_rankings(
            project=project,
            stream=rows,
            actor=actor,
            title=source.title,
            unnamed=source.unnamed,
            open_overlap=1,
        )
    return project
