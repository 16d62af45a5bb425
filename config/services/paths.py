"""Where Preceptor keeps what it makes: one data folder, outside the checkout. Standard library only."""

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# A Unix socket's path may have 107 bytes; PostgreSQL appends "/.s.PGSQL.5432.lock" to the folder.
LONGEST_SOCKET_FOLDER = 80


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
        """Make the folders; other users may pass through, because the database's user must, but not list or read."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o711)
        for folder in (self.run, self.logs):
            folder.mkdir(exist_ok=True, mode=0o711)
        if self.run.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.run} belongs to another user. Remove it or set PRECEPTOR_HOME.")

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
