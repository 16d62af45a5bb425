"""Addresses of PostgreSQL and Valkey as Django and Celery want them."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from psycopg.conninfo import conninfo_to_dict

# Milliseconds: statement, waiting for a lock, idle inside a transaction. 0 is no limit.
LIMITS = {"web": (5_000, 2_000, 60_000), "worker": (60_000, 5_000, 60_000), "command": (0, 0, 0)}


def database(url: str, *, role: str) -> dict[str, Any]:
    """The entry of DATABASES for `postgresql://...`, with the limits of the process's role.

    The web server keeps a pool (so CONN_MAX_AGE is 0); workers and commands hold one connection a process.
    """
    parts = conninfo_to_dict(url)
    statement, lock, idle = LIMITS.get(role, LIMITS["command"])
    options: dict[str, Any] = {
        "options": f"-c statement_timeout={statement} -c lock_timeout={lock}"
        f" -c idle_in_transaction_session_timeout={idle}",
    }
    if role == "web":
        options["pool"] = {"min_size": 1, "max_size": 20, "timeout": 5}
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    entry: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 0, "OPTIONS": options}
    for key, value in parts.items():
        if key in names:
            entry[names[key]] = str(value)
        else:
            options[key] = value
    if role != "web":
        entry["CONN_HEALTH_CHECKS"] = True
    return entry


def cache_of(url: str) -> dict[str, Any]:
    """The entry of CACHES; short time-outs, because nothing in the cache is worth waiting for."""
    limits = {"socket_connect_timeout": 1, "socket_timeout": 1}
    backend = "django.core.cache.backends.redis.RedisCache"
    return {"BACKEND": backend, "LOCATION": url, "KEY_PREFIX": "preceptor", "OPTIONS": limits}


def broker_of(url: str) -> str:
    """The same server as a Celery broker; kombu spells Unix sockets its own way."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    number = dict(pair.partition("=")[::2] for pair in parts.query.split("&")).get("db", "0")
    return f"redis+socket://{parts.path}?{urlencode({'virtual_host': number})}"
