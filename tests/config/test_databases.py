import psycopg
import pytest

from config.databases import broker_of, database

LIMIT_NAMES = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def test_an_address_becomes_django_settings_with_the_limits_of_the_role():
    entry = database("postgresql://me:p%40ss@db.example:6432/books?sslmode=verify-full", role="web")
    assert (entry["NAME"], entry["USER"], entry["PASSWORD"], entry["HOST"], entry["PORT"]) == (
        "books", "me", "p@ss", "db.example", "6432",
    )  # fmt: skip
    assert entry["OPTIONS"]["sslmode"] == "verify-full"
    assert "statement_timeout=5000" in entry["OPTIONS"]["options"]
    assert (entry["OPTIONS"]["pool"]["max_size"], entry["CONN_MAX_AGE"]) == (20, 0)


def test_commands_wait_as_long_as_it_takes():
    entry = database("postgresql:///books?host=/run/pg", role="command")
    assert "statement_timeout=0" in entry["OPTIONS"]["options"]
    assert "pool" not in entry["OPTIONS"]


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://h:6379/2", "redis://h:6379/2"),
        ("unix:///run/v.sock", "redis+socket:///run/v.sock?virtual_host=0"),
        ("unix:///run/v.sock?db=3", "redis+socket:///run/v.sock?virtual_host=3"),
    ],
)
def test_celery_spells_sockets_its_own_way(url, broker):
    assert broker_of(url) == broker


def test_the_limits_reach_the_server(services, db):
    from tests.processes import environment

    entry = database(environment()["DATABASE_URL"], role="web")
    login = {"dbname": entry["NAME"], "host": entry["HOST"], "user": entry["USER"]}
    with psycopg.connect(**login, options=entry["OPTIONS"]["options"]) as session:
        shown = [session.execute(f"SHOW {name}").fetchone()[0] for name in LIMIT_NAMES]
    assert shown == ["5s", "2s", "1min"]
