import hashlib

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import Environment
from config.services.paths import Home

KEY = hashlib.sha512(b"a key of the tests").hexdigest()


@pytest.fixture
def variables(monkeypatch, tmp_path):
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRECEPTOR_HOME", str(tmp_path / "home"))

    def change(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return change


def problems() -> dict[str, str]:
    with pytest.raises(ImproperlyConfigured) as refused:
        Environment.load()
    lines = str(refused.value).splitlines()[1:]
    return dict(line.strip().split(": ", 1) for line in lines)


def test_without_any_variable_the_embedded_services_are_meant(variables, tmp_path):
    variables(SECRET_KEY=KEY)
    env = Environment.load()
    assert env.database_url == Home(tmp_path / "home").database_url
    assert env.redis_url == Home(tmp_path / "home").redis_url
    assert (env.host, env.port, env.debug) == ("127.0.0.1", 8000, False)


def test_no_key_has_a_default(variables):
    assert "make up" in problems()["SECRET_KEY"]
    assert "PRECEPTOR_HOME" in problems()["SECRET_KEY"]


@pytest.mark.parametrize("key", ["short", "a" * 60, "django-insecure-" + KEY, "changeme" + KEY])
def test_a_weak_key_is_refused_with_the_command_that_makes_a_strong_one(variables, key):
    variables(SECRET_KEY=key)
    assert "token_urlsafe" in problems()["SECRET_KEY"]


def test_a_heartbeat_that_cannot_keep_the_lease_is_refused(variables):
    variables(SECRET_KEY=KEY, PRECEPTOR_LEASE_SECONDS="30", PRECEPTOR_HEARTBEAT_SECONDS="16")
    assert "PRECEPTOR_LEASE_SECONDS" in problems()["PRECEPTOR_HEARTBEAT_SECONDS"]
    variables(PRECEPTOR_HEARTBEAT_SECONDS="15")
    assert Environment.load().heartbeat_seconds == 15


def test_one_list_names_everything_that_is_wrong_but_shows_no_value(variables, tmp_path):
    variables(
        SECRET_KEY="hush", DATABASE_URL="mysql://me:hush@db/x", REDIS_URL="amqp://hush", PORT="hush",
        PRECEPTOR_STORE_URL="s3://hush", PRECEPTOR_LOG_LEVEL="hush", PRECEPTOR_PUBLIC_URL="ftp://hush",
        PRECEPTOR_METRICS_TOKEN_FILE=str(tmp_path / "hush-missing"),
    )  # fmt: skip
    found = problems()
    assert set(found) == {
        "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "PORT", "PRECEPTOR_STORE_URL", "PRECEPTOR_LOG_LEVEL",
        "PRECEPTOR_PUBLIC_URL", "PRECEPTOR_METRICS_TOKEN_FILE",
    }  # fmt: skip
    assert "hush" not in str(found)


def test_a_secret_may_come_from_a_file(variables, tmp_path, monkeypatch):
    (tmp_path / "key").write_text(KEY + "\n")
    variables(SECRET_KEY_FILE=str(tmp_path / "key"))
    assert Environment.load().secret_key.get_secret_value() == KEY
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    assert "not both" in problems()["SECRET_KEY_FILE"]


def test_the_key_of_the_data_folder_is_used(variables, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret_key").write_text(KEY)
    assert Environment.load().secret_key.get_secret_value() == KEY


def test_lists_are_split_at_commas(variables):
    variables(SECRET_KEY=KEY, PRECEPTOR_ALLOWED_HOSTS="a.example, b.example,")
    assert Environment.load().allowed_hosts == ["a.example", "b.example"]
