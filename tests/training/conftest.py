"""A project whose current policy has real weights, prompts of every split, and people who answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from celery import current_app

from accounts.models import Project
from inference.models import ModelVersion, VersionKind
from inference.services import promote, register_version
from labeling.models import Prompt
from tests.factories import model_folder
from tests.training.factories import prompts
from training.models import Run
from training.recipe import Recipe
from training.services.runs import queue_run


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model of about 100 thousand weights."""
    return model_folder(tmp_path_factory.mktemp("weights") / "random")


@pytest.fixture
def base(project: Project, weights: Path) -> ModelVersion:
    """The project's current policy: a base version that can be sampled from and trained."""
    version = register_version(project=project, kind=VersionKind.BASE, folder=weights, name="random")
    return promote(version=version, actor=None)


@pytest.fixture
def asked(project: Project) -> list[Prompt]:
    """Twelve prompts to train on, four to choose on, four to measure on."""
    return prompts(project, train=12, valid=4, heldout=4)


@pytest.fixture
def queued(project: Project, base: ModelVersion) -> Callable[..., Run]:
    """`queued(snapshot=...)` is a queued SFT run of the test preset."""

    def make(**changes: object) -> Run:
        config = Recipe.parse({"sft": {"preset": "test", **changes.pop("config", {})}}).config("sft")  # type: ignore[dict-item]
        return queue_run(**{"project": project, "kind": "sft", "config": config, "model": base, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def empty_queues(services: None) -> None:
    """No message of an earlier test is left."""
    with current_app.connection_for_write() as connection:
        for name in ("control", "sample", "train"):
            connection.SimpleQueue(name).clear()
