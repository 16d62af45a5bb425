"""Both embedded services together; an address in the environment replaces one."""

import os

from config.services.paths import Home
from config.services.postgres import Postgres
from config.services.valkey import Valkey


def embedded(home: Home, *, durable: bool = True) -> dict[str, Postgres | Valkey]:
    """The services that the environment does not replace, by name."""
    found: dict[str, Postgres | Valkey] = {}
    if not given("DATABASE_URL"):
        found["PostgreSQL"] = Postgres(home, durable=durable)
    if not given("REDIS_URL"):
        found["Valkey"] = Valkey(home, durable=durable)
    return found


def given(name: str) -> bool:
    """Whether the environment has this secret, itself or by NAME_FILE."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def start(home: Home, *, durable: bool = True) -> None:
    """Start what is embedded and make the secret key. Raises ServiceError."""
    home.prepare()
    if not given("SECRET_KEY"):
        home.ensure_secret_key()
    for service in embedded(home, durable=durable).values():
        service.start()


def stop(home: Home) -> None:
    """Stop both, whoever started them. Raises ServiceError."""
    with home.usable():
        for service in (Valkey(home), Postgres(home)):
            service.stop()
