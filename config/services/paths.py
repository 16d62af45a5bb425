"""Where Preceptor keeps what it makes: one data folder, outside the checkout. Standard library only."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EPERM
from pathlib import Path

from config.services.system import ServiceError

CHECKOUT = Path(__file__).resolve().parents[2]

# A Unix socket's path may have 107 bytes; PostgreSQL appends "/.s.PGSQL.5432.lock" to the folder.
LONGEST_SOCKET_FOLDER = 80
REMEDY = "Set PRECEPTOR_HOME to a folder of your own elsewhere; it is made if it is not there."


@dataclass(frozen=True, slots=True)
class Home:
    """The data folder and the places inside it."""

    path: Path

    @property
    def run(self) -> Path:
        """Sockets, process ids and locks; a short temporary folder if the data folder's own path is too long."""
        folder = self.path / "run"
        if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
            return folder
        key = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"preceptor-{os.getuid()}-{key}"

    @property
    def logs(self) -> Path:
        """One log file for each process that `make up` starts."""
        return self.path / "logs"

    @property
    def secret_key_file(self) -> Path:
        """The generated key of this installation."""
        return self.path / "secret_key"

    @property
    def store_url(self) -> str:
        """Where content-addressed folders go unless PRECEPTOR_STORE_URL says otherwise."""
        return (self.path / "store").as_uri()

    @property
    def database_url(self) -> str:
        """The embedded PostgreSQL, reachable by its Unix socket only."""
        return f"postgresql://preceptor@/preceptor?host={self.run / 'postgres'}"

    @property
    def redis_url(self) -> str:
        """The embedded Valkey, reachable by its Unix socket only."""
        return f"unix://{self.run / 'valkey' / 'valkey.sock'}"

    def prepare(self) -> None:
        """Make the folders; other users may pass through, because the database's user must, but not list or read.

        Raises ServiceError where there cannot be a data folder.
        """
        if self.path.is_relative_to(CHECKOUT):
            raise ServiceError(f"{self.path} lies inside the checkout. {REMEDY}")
        with self.usable():
            self.path.mkdir(parents=True, exist_ok=True, mode=0o711)
            for folder in (self.run, self.logs):
                folder.mkdir(exist_ok=True, mode=0o711)
            if self.run.stat().st_uid != os.getuid():
                raise PermissionError(EPERM, "it belongs to another user", str(self.run))

    @contextmanager
    def usable(self) -> Iterator[None]:
        """What the file system refuses inside is one sentence with a remedy: ServiceError."""
        try:
            yield
        except OSError as error:
            if error.filename is None:
                raise
            why = "there is a file" if isinstance(error, FileExistsError) else error.strerror
            text = f"The data folder {self.path} cannot be used: {error.filename}: {why}"
            raise ServiceError(f"{text}. {REMEDY}") from None

    def ensure_secret_key(self) -> None:
        """Generate this installation's secret key once; it never changes afterwards."""
        try:
            handle = os.open(self.secret_key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(64))


def home() -> Home:
    """The data folder of this checkout: PRECEPTOR_HOME, else one below the user's data folder."""
    named = os.environ.get("PRECEPTOR_HOME")
    if named:
        return Home(Path(named).expanduser().absolute())
    key = hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:8]
    return Home(_data_root() / f"{CHECKOUT.name}-{key}")


def _data_root() -> Path:
    # Root's own home is usually closed to the plain user that PostgreSQL must run as.
    if os.geteuid() == 0:
        return Path("/var/lib/preceptor")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "preceptor"
