"""The demo projects, and the archive that they come from."""

import gzip
import re
from collections import Counter

import orjson
import pytest
from django.db import transaction

from accounts.models import Project, User
from labeling.models import Prompt, RankedItem, Ranking, Task
from labeling.services.batches import open_demonstration_batch
from labeling.simulated import simulate_batch, simulated_labelers
from tests.labeling.factories import PromptFactory, RankingFactory, ranking_batch
from training.demo.archive import ROWS, missing_weights, read_archive, write_archive
from training.demo.make import ARCHIVE, make_demo
from training.demo.real_rankings import make_real_rankings
from training.models import Round, Run, RunKind
from training.states import RoundState

pytestmark = pytest.mark.django_db


class Rollback(Exception):
    """Ends a transaction without trace."""


def answered_project(name="Small"):
    project = Project.objects.create(name=name, salt=b"s" * 32)
    labelers = simulated_labelers(project=project, count=2)
    for number in range(3):
        PromptFactory(project=project, text=f"Write a short poem about the moon for Mia. {number}")
    prompts = Prompt.objects.filter(project=project)
    simulate_batch(
        batch=open_demonstration_batch(project=project, prompts=prompts, quota=2), labelers=labelers
    )
    simulate_batch(batch=ranking_batch(project, tasks=2, texts=("a", "a", "b"), overlap=2), labelers=labelers)
    return project


def archived(target):
    """Write an archive of a project that is gone afterwards."""
    try:
        with transaction.atomic():
            project = answered_project()
            write_archive(project=project, target=target)
            ranked = list(
                RankedItem.objects.order_by("ranking_id", "candidate_id").values_list("ranking_id", "rank")
            )
            raise Rollback
    except Rollback:
        return project.pk, ranked


def rows_of(folder):
    with gzip.open(folder / ROWS, "rb") as file:
        return [orjson.loads(line) for line in file]


def test_an_archive_brings_the_same_project_back(tmp_path):
    pk, ranked = archived(tmp_path / "a")
    assert not Project.objects.filter(pk=pk).exists()
    project = read_archive(tmp_path / "a")
    assert project.pk == pk
    assert bytes(project.salt) == b"s" * 32
    assert project.demonstrations.count() == 2
    assert Ranking.objects.filter(project=project, is_synthetic=True).count() == 4
    assert (
        list(RankedItem.objects.order_by("ranking_id", "candidate_id").values_list("ranking_id", "rank"))
        == ranked
    )
    assert {member.user.is_synthetic for member in project.memberships.all()} == {True}


def test_written_again_it_is_the_same_but_for_numbers_of_the_database(tmp_path):
    archived(tmp_path / "a")
    write_archive(project=read_archive(tmp_path / "a"), target=tmp_path / "b")

    def content(folder):
        lines = []
        for entry in rows_of(folder):
            row = {k: v for k, v in entry.get("row", entry).items() if k not in ("id", "slot_id")}
            if entry.get("table") != "accounts.Event":
                lines.append(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
        return sorted(lines)

    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_what_ships_names_no_path_of_the_machine_that_made_it():
    with gzip.open(ARCHIVE / ROWS, "rb") as file:
        assert not re.search(rb"/[\w./-]*/runs/[0-9a-f]{8}-", file.read())


def test_a_second_time_changes_nothing(tmp_path):
    archived(tmp_path / "a")
    read_archive(tmp_path / "a")
    Prompt.objects.update(tags=["mine"])
    project = read_archive(tmp_path / "a")
    assert project.prompts.filter(tags=["mine"]).count() == project.prompts.count() > 0
    assert User.objects.filter(is_synthetic=True).count() == 2


def test_it_fits_people_who_are_there_already(tmp_path):
    archived(tmp_path / "a")
    mine = User.objects.create(username="simulated-ada", is_synthetic=True, password="!")
    project = read_archive(tmp_path / "a")
    assert project.memberships.filter(user=mine).exists()
    assert Ranking.objects.filter(project=project, labeler=mine).exists()


def test_answers_of_people_are_never_shipped(tmp_path):
    project = answered_project()
    RankingFactory(task__project=project, task__batch__project=project, project=project)
    with pytest.raises(ValueError, match="rankings of people"):
        write_archive(project=project, target=tmp_path / "a")


def test_real_rankings_are_imported_once_and_wait_for_own_labelers_too(eva):
    project = make_real_rankings(actor=eva)
    assert project.rankings.count() > 250
    assert not project.rankings.filter(is_synthetic=True).exists()
    states = Counter(Task.objects.filter(project=project).values_list("state", flat=True))
    assert states["complete"] == 170
    assert states["open"] == 148  # a prompt whose answers come in two groups is opened once
    assert make_real_rankings(actor=eva).pk == project.pk
    assert Project.objects.filter(name=project.name).count() == 1


def test_the_archive_that_ships_fits_the_starter_and_waits_in_its_second_round():
    willowby = next(project for project in make_demo() if project.name == "Willowby")
    rounds = dict(Round.objects.filter(project=willowby).values_list("number", "state"))
    assert rounds == {1: RoundState.PROMOTED, 2: RoundState.RANKING}
    assert missing_weights(willowby) == []
    reward = Run.objects.get(project=willowby, kind=RunKind.REWARD)
    # What the reward model's page draws; an archive made before runs had reports lacks it.
    assert reward.result["report"]
