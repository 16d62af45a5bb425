"""A version with real weights, made once for the run."""

from pathlib import Path

import pytest

from accounts.models import Project
from inference.models import ModelVersion, VersionKind
from inference.services import register_version
from tests.factories import model_folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model of about 100 thousand weights."""
    return model_folder(tmp_path_factory.mktemp("weights") / "random")


@pytest.fixture
def version(project: Project, weights: Path) -> ModelVersion:
    """A base version of the project that can be sampled from."""
    return register_version(project=project, kind=VersionKind.BASE, folder=weights, name="random")
