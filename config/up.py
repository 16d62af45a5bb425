"""`make up`: everything on one machine, in one terminal, until Ctrl-C."""

import fcntl
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from config.prepare import ROOT
from config.services.embedded import embedded, start
from config.services.embedded import stop as stop_services
from config.services.paths import Home, home
from config.services.system import ServiceError, wait_until
from config.steps import StepFailed, Steps, run
from config.supervisor import Process, Supervisor

PYTHON = sys.executable
READY_SECONDS = 120


class Ended(BaseException):
    """Somebody asked for the end: Ctrl-C, TERM, or the terminal went away."""


def up() -> None:
    """Start everything, then look after it."""
    place = home()
    place.prepare()
    with the_only_one(place) as register:
        if register is None:
            _say_it_runs(place)
            return
        steps = Steps()
        supervisor = Supervisor(
            folder=ROOT, logs=place.logs, register=place.run / "processes.json", say=steps.say
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        failure = None
        try:
            _start(place, steps, supervisor, register)
            _watch(place, steps, supervisor)
        except Ended:
            pass
        except (StepFailed, ServiceError) as failed:
            failure = str(failed)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            steps.say()
            with steps.step("Stopped"):
                supervisor.stop()
                stop_services(place)
        if failure:
            sys.exit(f"\n{failure}")


def link() -> None:
    """Print fresh sign-in links for the installation that runs."""
    place = home()
    known = running(place)
    if known is None:
        sys.exit("Preceptor does not run. Start it with: make up")
    os.environ["PRECEPTOR_PUBLIC_URL"] = known["address"]
    print(_links().rstrip())


def stop() -> None:
    """End the `make up` of this checkout, wherever it runs, and the embedded services."""
    place = home()
    known = running(place)
    if known is not None:
        os.kill(int(known["pid"]), signal.SIGTERM)
        wait_until(lambda: running(place) is None, seconds=60, step=0.1)
    stop_services(place)
    print("Stopped." if known else "Nothing of it ran.")


# One at a time.


@contextmanager
def the_only_one(place: Home) -> Iterator[TextIO | None]:
    """Hold the installation's lock; None if another process holds it. The kernel frees it, however we end."""
    with place.usable():
        register = (place.run / "up.json").open("a+")
    with register:
        try:
            fcntl.flock(register, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        try:
            yield register
        finally:
            register.truncate(0)


def running(place: Home) -> dict[str, str] | None:
    """What the running `make up` wrote about itself; None if none runs. Raises ServiceError."""
    path = place.run / "up.json"
    with place.usable():
        if not path.exists():
            return None
        register = path.open("r+")
    with register:
        try:
            fcntl.flock(register, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError):
                known: dict[str, str] = json.load(register)
                return known
            return {"pid": "0", "address": ""}
    return None


def _say_it_runs(place: Home) -> None:
    known = running(place) or {"address": ""}
    at = f" at {known['address']}" if known["address"] else " (it is just starting)"
    print(f"Preceptor already runs{at}.\n  make link   fresh sign-in links\n  make stop   end it")


# Starting.


def _start(place: Home, steps: Steps, supervisor: Supervisor, register: TextIO) -> None:
    began = float(os.environ.pop("PRECEPTOR_BEGAN", steps.began))
    host, port = free_address()
    address = os.environ.get("PRECEPTOR_PUBLIC_URL") or f"http://{_shown(host)}:{port}"
    os.environ.update(HOST=host, PORT=str(port), PRECEPTOR_PUBLIC_URL=address, PRECEPTOR_HOME=str(place.path))
    register.truncate(0)
    register.write(json.dumps({"pid": os.getpid(), "address": address}))
    register.flush()
    if count := supervisor.end_leftovers():
        steps.say(f"  ! {count} processes of a killed `make up` were still there; they are ended")
    with steps.step("PostgreSQL and Valkey" if len(embedded(place)) == 2 else "Services"):
        start(place)
    steps.run("Database", [PYTHON, "manage.py", "migrate", "--no-input", "-v", "0"], folder=ROOT)
    _make_demo(place, steps)
    with steps.step("Web server"):
        web = Process("web", _web(host, port), marker="config.asgi")
        supervisor.start(web)
        _wait_until_ready(f"http://{_shown(host)}:{port}/readyz", supervisor)
    for process in background():
        supervisor.start(process)
    _welcome(place, steps, address, seconds=time.monotonic() - began)


def _make_demo(place: Home, steps: Steps) -> None:
    """Once for an installation; PRECEPTOR_DEMO=0 leaves it out. The product starts without it, too."""
    made = place.path / "demo_made"
    if made.exists() or os.environ.get("PRECEPTOR_DEMO") == "0":
        return
    try:
        steps.run("Demo project", [PYTHON, "manage.py", "make_demo"], folder=ROOT)
    except StepFailed as failed:
        steps.say(f"  ! Going on without the demo project; the next start tries again.\n{failed}")
    else:
        made.touch()


def _web(host: str, port: int) -> list[str]:
    options = [
        "--host",
        host,
        "--port",
        str(port),
        "--no-access-log",
        "--lifespan",
        "off",
        "--no-server-header",
    ]
    options += ["--timeout-graceful-shutdown", "2", "--log-level", "warning", "--no-proxy-headers"]
    return [PYTHON, "-m", "uvicorn", "config.asgi:application", *options]


def background() -> list[Process]:
    """The control loop and one Celery worker for each queue."""
    variables = {"PRECEPTOR_ROLE": "worker"}
    found = [worker("control"), worker("sample", pool="solo"), worker("train")]
    if any(ROOT.glob("*/management/commands/run_control_loop.py")):
        command = [PYTHON, "manage.py", "run_control_loop"]
        found.insert(0, Process("loop", command, marker="run_control_loop", variables=variables))
    return found


def worker(queue: str, *, pool: str = "prefork") -> Process:
    """A Celery worker of one queue that does one thing at a time."""
    options = ["-Q", queue, f"--pool={pool}", "-c", "1", "-n", f"{queue}@preceptor", "--loglevel", "INFO"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [PYTHON, "-m", "celery", "-A", "config.celery", "worker", *options, *quiet]
    # Celery warns about root for pickle's sake; we accept JSON alone.
    variables = {"PRECEPTOR_ROLE": "worker", "C_FORCE_ROOT": "1", "PYTHONWARNINGS": "ignore:You're running"}
    return Process(queue, command, marker=f"{queue}@preceptor", variables=variables)


def free_address() -> tuple[str, int]:
    """Where to listen: HOST and PORT; without PORT the first free one from 8000. Raises StepFailed."""
    host = os.environ.get("HOST") or "127.0.0.1"
    named = os.environ.get("PORT")
    if named and not (named.isdecimal() and 0 < int(named) < 65536):
        raise StepFailed(f"PORT={named} is not a port. Give a number from 1 to 65535.")
    for port in [int(named)] if named else range(8000, 8100):
        reason = _cannot_listen(host, port)
        if reason is None:
            return host, port
        if named or "address" not in reason.lower():
            raise StepFailed(f"Cannot listen on {host}:{port}: {reason}. Choose others with HOST= and PORT=.")
    raise StepFailed("Ports 8000 to 8099 are all taken. Choose one with PORT=.")


def _cannot_listen(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - shown, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _wait_until_ready(address: str, supervisor: Supervisor) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        supervisor.look()
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310
            if answer.status == 200:
                return
        time.sleep(0.1)
    tail = "\n".join(supervisor.log_of("web").read_text(errors="replace").splitlines()[-20:])
    raise StepFailed(f"The web server is not ready after {READY_SECONDS} s. Its log ends with:\n{tail}")


# Telling.


def _links() -> str:
    return run("Sign-in links", [PYTHON, "manage.py", "welcome"], folder=ROOT)


def _welcome(place: Home, steps: Steps, address: str, *, seconds: float) -> None:
    links = "\n".join(f"    {line}" for line in _links().strip().splitlines())
    steps.say(f"\n  Preceptor is ready at {address}   ({seconds:.0f} s)\n")
    steps.say(f"  Sign in; each link works once (`make link` prints fresh ones):\n{links}\n")
    steps.say(f"  Data and logs: {place.path}\n  Ctrl-C stops everything.\n")


def _watch(place: Home, steps: Steps, supervisor: Supervisor) -> None:
    services = embedded(place)
    checked = 0.0
    while True:
        supervisor.look()
        if time.monotonic() - checked > 2.0:
            checked = time.monotonic()
            for name, service in services.items():
                if not service.is_running():
                    steps.say(f"  ! {name} was gone; it is started again")
                    with suppress(ServiceError):
                        service.start()
        time.sleep(0.2)


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended
