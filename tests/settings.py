"""Settings of a test run: the product's own, with embedded services below a temporary folder of this run alone.

pytest loads this before any fixture, so nothing is started here: tests that need no database start none.
"""

import os
import sys
import tempfile
from pathlib import Path

from config.services.paths import Home

if (
    "PRECEPTOR_TEST_SERVICES" not in os.environ
):  # Not set: this is the process that people started, no xdist worker.
    replaced = {"DATABASE_URL": "postgres", "REDIS_URL": "valkey"}
    own = [service for variable, service in replaced.items() if not os.environ.get(variable)]
    os.environ["PRECEPTOR_TEST_SERVICES"] = " ".join(own)
    if "pytest" in sys.modules:
        os.environ["PRECEPTOR_HOME"] = tempfile.mkdtemp(prefix=f"preceptor-test-{os.getpid()}-")
    else:  # mypy's Django plugin reads settings too, and starts nothing.
        os.environ["PRECEPTOR_HOME"] = str(Path(tempfile.gettempdir()) / f"preceptor-tools-{os.getuid()}")
    os.environ.pop("PORT", None)
    os.environ.pop("HOST", None)

HOME = Home(Path(os.environ["PRECEPTOR_HOME"]))
HOME.prepare()
HOME.path.chmod(0o711)
HOME.ensure_secret_key()
os.environ["SECRET_KEY"] = HOME.secret_key_file.read_text()
os.environ.pop("SECRET_KEY_FILE", None)

# One Valkey database for each xdist worker: a message for one never wakes another's Celery.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
if "valkey" in os.environ["PRECEPTOR_TEST_SERVICES"]:
    os.environ["REDIS_URL"] = f"{HOME.redis_url}?db={WORKER + 1}"

from config.settings import *  # noqa: E402, F403
