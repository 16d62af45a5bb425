import pytest
from django.test import Client


@pytest.fixture
def client():
    return Client()


def test_healthz_asks_nobody(client):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_readyz_looks_at_everything(client, db):
    answer = client.get("/readyz")
    assert answer.json() == {
        "status": "ok",
        "database": "ok",
        "migrations": "ok",
        "warm": "ok",
        "valkey": "ok",
    }


def test_without_valkey_people_may_still_label(client, db, settings):
    settings.PRECEPTOR_REDIS_URL = "unix:///nowhere/valkey.sock"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["valkey"]) == (200, "out of reach")


def test_version_tells_what_runs(client):
    assert set(client.get("/version").json()) == {"preceptor", "django", "python"}


def test_metrics_are_for_staff_or_the_token(client, db, settings, eva):
    assert client.get("/metrics").status_code == 403
    settings.PRECEPTOR_METRICS_TOKEN = "a-long-metrics-token"
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403
    answer = client.get("/metrics", headers={"Authorization": "Bearer a-long-metrics-token"})
    assert answer.status_code == 200
    assert "python_info" in answer.text
    client.force_login(eva)
    assert client.get("/metrics").status_code == 403
    eva.is_staff = True
    eva.save()
    assert client.get("/metrics").status_code == 200


def test_an_empty_metrics_token_opens_nothing(client, db, settings):
    settings.PRECEPTOR_METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 403
