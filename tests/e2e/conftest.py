"""One web server for the browser tests of a file; each test empties the tables."""

from collections.abc import Iterator

import pytest

from tests.e2e.browser import Visitors, visitors
from tests.processes import Processes


@pytest.fixture(scope="module")
def address(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server of this file's tests answers."""
    with Processes(tmp_path_factory.mktemp("web")) as processes:
        yield processes.web()


@pytest.fixture
def people(address: str, transactional_db: None) -> Iterator[Visitors]:
    """A browser before that server."""
    with visitors(address) as opened:
        yield opened
