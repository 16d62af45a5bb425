"""A data folder that cannot be one, and secrets that come as files, are told in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.services.embedded import embedded
from config.services.paths import CHECKOUT, Home
from config.services.system import ServiceError
from config.supervisor import GRACE_SECONDS
from tests.processes import ROOT
from training.runner import child


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    """Where the data folder should be, there is a file."""
    (tmp_path / "taken").write_text("")
    return tmp_path / "taken"


@pytest.mark.parametrize("below", ["", "below"])
@pytest.mark.parametrize(
    "words",
    [["config.verbs", "up"], ["config.services", "up"]],
    ids=" ".join,
)
def test_a_place_that_cannot_be_the_data_folder_is_one_sentence(a_file, below, words):
    environment = os.environ | {"PRECEPTOR_HOME": str(a_file / below), "PYTHONPATH": str(ROOT)}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert str(a_file) in result.stderr
    assert "Set PRECEPTOR_HOME" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_one_sentence(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o500)
    with pytest.raises(ServiceError, match="Set PRECEPTOR_HOME"):
        Home(tmp_path / "theirs" / "home").prepare()


def test_sockets_of_somebody_else_are_refused(tmp_path, monkeypatch):
    Home(tmp_path / "home").prepare()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ServiceError, match=r"another user.*Set PRECEPTOR_HOME"):
        Home(tmp_path / "home").prepare()


def test_a_data_folder_inside_the_checkout_is_refused():
    place = Home(CHECKOUT / "data-of-a-test")
    with pytest.raises(ServiceError, match=r"inside the checkout.*PRECEPTOR_HOME"):
        place.prepare()
    assert not place.path.exists()


@pytest.mark.parametrize("suffix", ["", "_FILE"])
def test_an_address_replaces_the_embedded_service_in_either_form(tmp_path, monkeypatch, suffix):
    for name in ("DATABASE_URL", "REDIS_URL", "DATABASE_URL_FILE", "REDIS_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert set(embedded(Home(tmp_path))) == {"PostgreSQL", "Valkey"}
    monkeypatch.setenv(f"DATABASE_URL{suffix}", "somewhere")
    assert set(embedded(Home(tmp_path))) == {"Valkey"}
    monkeypatch.setenv(f"REDIS_URL{suffix}", "somewhere")
    assert embedded(Home(tmp_path)) == {}


def test_a_run_has_time_for_its_last_checkpoint_when_everything_stops():
    assert GRACE_SECONDS >= child.GRACE_SECONDS + 5
