"""Every variable that Preceptor reads, typed. A wrong one stops the start with one list of all that is wrong."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import AliasGenerator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.services.paths import Home, home

WEAK_KEY = re.compile(r"django-insecure|change.?me|secret|password|example", re.IGNORECASE)
SECRETS = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "REDIS_URL", "PRECEPTOR_METRICS_TOKEN")


def prefixed(field: str) -> str:
    """The variable of a field that is ours alone."""
    return f"PRECEPTOR_{field.upper()}"


Words = Annotated[list[str], NoDecode]


class Environment(BaseSettings):
    """The settings that differ from one installation to the next. Each secret NAME may come as NAME_FILE instead."""

    model_config = SettingsConfigDict(
        case_sensitive=True, env_ignore_empty=True, alias_generator=AliasGenerator(validation_alias=prefixed)
    )

    home: Path = Field(
        default_factory=lambda: home().path, description="Data folder; needs to be outside the checkout."
    )
    secret_key: SecretStr = Field(
        validation_alias="SECRET_KEY", description="Signs sessions; at least 50 characters."
    )
    secret_key_fallbacks: Words = Field(
        [],
        validation_alias="SECRET_KEY_FALLBACKS",
        description="Former keys, comma-separated, while rotating.",
    )
    database_url: str = Field(validation_alias="DATABASE_URL", description="PostgreSQL 15 or newer.")
    redis_url: str = Field(validation_alias="REDIS_URL", description="Valkey 8 or Redis 7, or newer.")
    host: str = Field("127.0.0.1", validation_alias="HOST", description="Address the web server binds.")
    port: int = Field(8000, ge=1, le=65535, validation_alias="PORT", description="Port the web server binds.")
    public_url: str = Field(
        "",
        description="Address people open, such as https://preceptor.example.org; https turns on Secure cookies and HSTS.",
    )
    allowed_hosts: Words = Field([], description="Further host names to answer to, comma-separated.")
    trust_proxy: bool = Field(
        default=False,
        description="Believe X-Forwarded-Proto and -For; only behind a proxy that always sets them.",
    )
    store_url: str = Field("", description="Content-addressed store, file:///folder.")
    models_dir: Path | None = Field(
        None, description="Base models an admin may choose from; <home>/models if not set."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, else JSON."
    )
    metrics_token: SecretStr | None = Field(None, description="Bearer token that may read /metrics.")
    lease_seconds: float = Field(
        30, ge=1, le=3600, description="A worker that is silent for this long is taken for dead."
    )
    heartbeat_seconds: float = Field(
        10, ge=0.1, le=1200, description="How often a worker says that it lives; a third of the lease."
    )
    train_processes: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that one training run is spread over; 0: one for each visible GPU.",
    )
    debug: bool = Field(default=False, description="Django's debug pages; never in production.")

    @field_validator("secret_key_fallbacks", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value
        )

    @field_validator("secret_key")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if len(text) < 50 or len(set(text)) < 10 or WEAK_KEY.search(text):
            raise ValueError(
                'too weak; make one with: python -c "import secrets; print(secrets.token_urlsafe(64))"'
            )
        return value

    @field_validator("metrics_token")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 20:
            raise ValueError("too short; at least 20 characters")
        return value

    @field_validator("heartbeat_seconds")
    @classmethod
    def _within_the_lease(cls, value: float, info: ValidationInfo) -> float:
        # One beat that comes late must not lose a run that is well.
        lease = info.data.get("lease_seconds")
        if lease is not None and value > lease / 2:
            raise ValueError(f"at most half of PRECEPTOR_LEASE_SECONDS, so {lease / 2:g}")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("postgres", "postgresql"):
            raise ValueError(
                "expected postgresql://user:password@host:5432/name (no other database is supported)"
            )
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
            raise ValueError("expected redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/socket")
        return value

    @field_validator("store_url")
    @classmethod
    def _file(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme != "file" or not parts.path.startswith("/")):
            raise ValueError("expected a local address such as file:///var/lib/preceptor/store")
        return value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (
            parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/")
        ):
            raise ValueError("expected an origin without a path, such as https://preceptor.example.org")
        return value.rstrip("/")

    @property
    def folder(self) -> Home:
        """The data folder with its places."""
        return Home(self.home)

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises ImproperlyConfigured that lists everything wrong at once."""
        wrong = dict(_secrets_from_files(os.environ))
        try:
            loaded = cls(**_defaults(home()))
        except ValidationError as error:
            wrong |= dict(_explain(error))
        if wrong:
            lines = "".join(f"\n  {name}: {text}" for name, text in sorted(wrong.items()))
            raise ImproperlyConfigured(f"Preceptor cannot start. Correct these variables:{lines}")
        return loaded


def _defaults(folder: Home) -> dict[str, Any]:
    """Values for what is not set: the embedded services and the generated key of the data folder."""
    found: dict[str, Any] = {}
    if not os.environ.get("DATABASE_URL"):
        found["DATABASE_URL"] = folder.database_url
    if not os.environ.get("REDIS_URL"):
        found["REDIS_URL"] = folder.redis_url
    if not os.environ.get("SECRET_KEY") and folder.secret_key_file.is_file():
        found["SECRET_KEY"] = folder.secret_key_file.read_text().strip()
    return found


def _secrets_from_files(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Put the content of NAME_FILE into NAME; yields what is wrong."""
    for name in SECRETS:
        path = environ.get(f"{name}_FILE")
        if not path:
            continue
        if environ.get(name):
            yield f"{name}_FILE", f"set either {name} or {name}_FILE, not both"
            continue
        try:
            os.environ[name] = Path(path).read_text(encoding="utf-8").strip()
            del os.environ[f"{name}_FILE"]
        except (OSError, UnicodeDecodeError) as error:
            yield f"{name}_FILE", f"cannot be read: {type(error).__name__}. Correct the path or its rights"


def _explain(error: ValidationError) -> Iterator[tuple[str, str]]:
    for item in error.errors(include_url=False, include_input=False):
        name = str(item["loc"][0])
        if item["type"] == "missing" and name == "SECRET_KEY":
            remedy = "`make up` keeps one in its data folder: give PRECEPTOR_HOME the folder that it prints;"
            yield name, f"not set. {remedy} without `make up` set SECRET_KEY or SECRET_KEY_FILE"
        else:
            yield name, item["msg"].removeprefix("Value error, ")


def variables() -> dict[str, str]:
    """Every variable with its sentence; the documentation is checked against it."""
    return {
        str(field.validation_alias): field.description or "" for field in Environment.model_fields.values()
    }
