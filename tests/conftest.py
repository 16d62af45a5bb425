"""What every test may ask for: services, the cast, clients, a clock, real processes."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from accounts.models import Project, User
    from tests.processes import Processes

# Services: started when the first test asks for a database, shared by all xdist workers, gone with the run.


@pytest.fixture(scope="session")
def services() -> None:
    """The embedded PostgreSQL and Valkey of this test run."""
    from config.services.postgres import Postgres
    from config.services.valkey import Valkey
    from tests.settings import HOME

    wanted = os.environ["PRECEPTOR_TEST_SERVICES"].split()
    if "postgres" in wanted:
        Postgres(HOME, durable=False).start()
    if "valkey" in wanted:
        Valkey(HOME, durable=False).start()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, services: None) -> None:
    """Have the services before the test databases are made."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Clear away what killed runs left behind."""
    if _is_worker(session.config):
        return
    for folder in Path(tempfile.gettempdir()).glob("preceptor-test-*"):
        found = re.fullmatch(r"preceptor-test-(\d+)-.+", folder.name)
        if found and folder.stat().st_uid == os.getuid() and not _lives(int(found[1])):
            _remove(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the browser tests out where somebody said so by name."""
    if os.environ.get("PRECEPTOR_SKIP_BROWSER") == "1":
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="PRECEPTOR_SKIP_BROWSER=1"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the services of this run."""
    folder = os.environ.get("PRECEPTOR_HOME", "")
    if not _is_worker(config) and Path(folder).name.startswith(f"preceptor-test-{os.getpid()}-"):
        _remove(Path(folder))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(folder: Path) -> None:
    from config.services.embedded import stop
    from config.services.paths import Home

    stop(Home(folder))
    shutil.rmtree(folder, ignore_errors=True)


# The cast: one project with two labelers, a reviewer and an admin; a stranger; the admin of another project.


@pytest.fixture
def project(db: None) -> "Project":
    """The project where the cast works."""
    return _project("Letters")


@pytest.fixture
def other_project(db: None) -> "Project":
    """A project that none of the cast but rex belongs to."""
    return _project("Elsewhere")


@pytest.fixture
def ana(project: "Project") -> "User":
    """Labels."""
    return _member("ana", project, "labeler")


@pytest.fixture
def ben(project: "Project") -> "User":
    """Labels too."""
    return _member("ben", project, "labeler")


@pytest.fixture
def ria(project: "Project") -> "User":
    """Reviews."""
    return _member("ria", project, "reviewer")


@pytest.fixture
def eva(project: "Project") -> "User":
    """Administers."""
    return _member("eva", project, "admin")


@pytest.fixture
def zoe(db: None) -> "User":
    """Is signed in, but belongs to no project."""
    return _member("zoe", None, "")


@pytest.fixture
def rex(other_project: "Project") -> "User":
    """Administers another project."""
    return _member("rex", other_project, "admin")


def _project(name: str) -> "Project":
    from accounts.models import Project

    return Project.objects.create(name=name, salt=name.encode().ljust(32, b"."))


def _member(username: str, project: "Project | None", role: str) -> "User":
    from accounts.models import Membership, User

    user = User(username=username, display_name=username.capitalize())
    user.set_unusable_password()
    user.save()
    if project is not None:
        Membership.objects.create(project=project, user=user, role=role)
    return user


@pytest.fixture
def client_of() -> "Callable[[User | None], APIClient]":
    """`client_of(ana)` speaks JSON to the REST interface as ana (by session); `client_of(None)` as nobody."""
    from rest_framework.test import APIClient

    def make(user: "User | None") -> APIClient:
        client = APIClient()
        if user is not None:
            client.force_login(user)
        return client

    return make


# Time: leases are measured by PostgreSQL's clock, so instead of moving a clock every stored time is made older.


class Clock:
    """`clock.advance(minutes=31)`: everything that is stored happened that much earlier."""

    def advance(self, **how_long: float) -> None:
        """Take `timedelta(**how_long)` off every stored time, due times included."""
        from django.apps import apps
        from django.db import connection
        from django.db.models import DateTimeField, F

        with connection.cursor() as cursor:
            cursor.execute(
                "SET session_replication_role = replica"
            )  # Append-only tables refuse updates by trigger.
            for model in apps.get_models():
                names = [f.name for f in model._meta.concrete_fields if isinstance(f, DateTimeField)]
                earlier: dict[str, Any] = {name: F(name) - timedelta(**how_long) for name in names}
                if earlier and not model._meta.proxy:
                    model._base_manager.update(**earlier)
            cursor.execute("SET session_replication_role = origin")


@pytest.fixture
def clock(db: None) -> Clock:
    """Let time pass."""
    return Clock()


# Real processes against the test's own database: a web server, workers, the control loop.


@pytest.fixture
def processes(transactional_db: None, tmp_path: Path) -> "Iterator[Processes]":
    """Starts processes that see this test's (committed) rows; whatever was started ends with the test."""
    from tests.processes import Processes

    with Processes(tmp_path) as started:
        yield started
