"""tokens/ and what a bearer token may do."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest
from django.utils.timezone import now
from rest_framework.test import APIClient

from accounts.auth import ScopeMissing, Unauthenticated, async_user, require_scope
from accounts.models import ApiToken, Event
from accounts.services import add_member, create_token

TOKENS = "/api/v1/tokens/"


def bearer(secret):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def test_a_token_is_shown_once_and_stored_as_a_hash(client_of, ana):
    body = {"name": "notebook", "scopes": ["read"]}
    answer = client_of(ana).post(TOKENS, body)
    assert answer.status_code == 201
    secret = answer.json()["token"]
    assert secret.startswith("pct_")
    assert len(secret) > 50
    listed = client_of(ana).get(TOKENS)
    assert secret not in listed.content.decode()
    assert listed.json()[0]["prefix"] in secret
    assert secret not in str(list(ApiToken.objects.values()))


def test_it_works_as_its_owner(ana):
    _, secret = create_token(user=ana, name="notebook", scopes=["read"])
    assert bearer(secret).get("/api/v1/me/").json()["username"] == "ana"


def test_without_an_end_it_lives_for_ninety_days(ana):
    token, _ = create_token(user=ana, name="notebook", scopes=["read"])
    assert timedelta(days=89) < token.expires_at - now() <= timedelta(days=90)


@pytest.mark.parametrize("when", [timedelta(days=-1), timedelta(days=400)])
def test_an_end_in_the_past_or_far_away_is_refused(client_of, ana, when):
    body = {"name": "x", "scopes": ["read"], "expires_at": (now() + when).isoformat()}
    answer = client_of(ana).post(TOKENS, body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expires_at")


def test_unknown_scopes_are_refused(client_of, ana):
    assert client_of(ana).post(TOKENS, {"name": "x", "scopes": ["root"]}).status_code == 400
    assert client_of(ana).post(TOKENS, {"name": "x", "scopes": []}).status_code == 400


def test_revoked_it_stops_at_once(client_of, ana):
    token, secret = create_token(user=ana, name="notebook", scopes=["read"])
    assert client_of(ana).delete(f"{TOKENS}{token.pk}/").status_code == 204
    answer = bearer(secret).get("/api/v1/me/")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert client_of(ana).get(TOKENS).json() == []
    assert client_of(ana).delete(f"{TOKENS}{token.pk}/").status_code == 404


def test_past_its_end_it_stops(ana, clock):
    _, secret = create_token(user=ana, name="notebook", scopes=["read"])
    clock.advance(days=91)
    assert bearer(secret).get("/api/v1/me/").json()["code"] == "token_expired"


@pytest.mark.parametrize(
    "header",
    ["Bearer pct_nothing", "Bearer ", "Basic YTpi", "Bearer \ud800", "pct_x", "Bearer pct_" + "x" * 999],
)
def test_anything_else_is_refused_even_with_a_session(client_of, ana, header):
    client = client_of(ana)
    answer = client.get("/api/v1/me/", HTTP_AUTHORIZATION=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_unknown")


def test_the_token_of_a_person_who_was_shut_out_is_refused(ana):
    _, secret = create_token(user=ana, name="notebook", scopes=["read"])
    ana.is_active = False
    ana.save()
    assert bearer(secret).get("/api/v1/me/").status_code == 401


def test_a_token_in_the_address_is_no_token(ana):
    _, secret = create_token(user=ana, name="notebook", scopes=["read"])
    assert APIClient().get(f"/api/v1/me/?token={secret}&access_token={secret}").status_code == 401


def test_its_scopes_bound_it(eva, project):
    _, reading = create_token(user=eva, name="r", scopes=["read"])
    answer = bearer(reading).patch(f"/api/v1/projects/{project.pk}/", {"name": "New"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert answer.json()["extra"] == {"scope": "admin"}
    _, writing = create_token(user=eva, name="w", scopes=["prompts:write"])
    assert bearer(writing).get("/api/v1/me/").status_code == 403
    _, full = create_token(user=eva, name="a", scopes=["admin"])
    assert bearer(full).patch(f"/api/v1/projects/{project.pk}/", {"name": "New"}).status_code == 200


def test_it_never_exceeds_its_owners_role(ana, project):
    _, secret = create_token(user=ana, name="a", scopes=["admin"])
    answer = bearer(secret).patch(f"/api/v1/projects/{project.pk}/", {"name": "New"})
    assert answer.json()["code"] == "role_too_low"


def test_bound_to_a_project_it_sees_no_other(eva, project, other_project):
    add_member(project=other_project, user=eva, role="admin")
    _, secret = create_token(user=eva, name="p", scopes=["admin"], project=project)
    client = bearer(secret)
    assert [p["name"] for p in client.get("/api/v1/projects/").json()] == ["Letters"]
    assert client.get(f"/api/v1/projects/{project.pk}/").status_code == 200
    assert client.get(f"/api/v1/projects/{other_project.pk}/").status_code == 404
    assert client.patch(f"/api/v1/projects/{other_project.pk}/", {"name": "Mine"}).status_code == 404
    assert len(client.get("/api/v1/me/").json()["memberships"]) == 1
    assert client.post("/api/v1/projects/", {"name": "x", "base_model": "y"}).status_code == 403


def test_it_cannot_be_bound_to_a_strangers_project(client_of, ana, other_project):
    body = {"name": "x", "scopes": ["read"], "project": str(other_project.pk)}
    assert client_of(ana).post(TOKENS, body).status_code == 404


def test_a_token_makes_and_revokes_no_tokens(ana):
    token, secret = create_token(user=ana, name="a", scopes=["admin"])
    client = bearer(secret)
    assert client.post(TOKENS, {"name": "b", "scopes": ["admin"]}).json()["code"] == "session_needed"
    assert client.delete(f"{TOKENS}{token.pk}/").status_code == 403


def test_another_persons_token_is_nobodys(client_of, ana, ben):
    token, _ = create_token(user=ana, name="a", scopes=["read"])
    assert client_of(ben).get(TOKENS).json() == []
    assert client_of(ben).delete(f"{TOKENS}{token.pk}/").status_code == 404


def test_its_use_is_written_down_at_most_once_a_minute(ana, clock, django_assert_num_queries):
    token, secret = create_token(user=ana, name="a", scopes=["read"])
    client = bearer(secret)
    client.get("/api/v1/me/")
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    with django_assert_num_queries(2):  # the token with its user, the memberships
        client.get("/api/v1/me/")
    token.refresh_from_db()
    assert token.last_used_at == first
    clock.advance(seconds=61)
    client.get("/api/v1/me/")
    token.refresh_from_db()
    assert token.last_used_at > first


def test_no_csrf_token_is_needed_with_a_bearer_token(ana):
    _, secret = create_token(user=ana, name="a", scopes=["admin"])
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert client.patch("/api/v1/me/", {"language": "zh-Hans"}).status_code == 200


def test_events_name_the_scopes_but_not_the_secret(ana):
    token, secret = create_token(user=ana, name="a", scopes=["read"])
    event = Event.objects.get(kind="api_token.created")
    assert event.data == {"scopes": ["read"]}
    assert secret[13:] not in str(event.data)
    assert token.prefix not in str(event.data)


@pytest.mark.django_db(transaction=True)
def test_async_views_know_the_same_people(ana):
    _, secret = create_token(user=ana, name="a", scopes=["read"])
    _, writing = create_token(user=ana, name="w", scopes=["tasks:work"])

    def ask(header):
        request = HttpRequest()
        if header:
            request.META["HTTP_AUTHORIZATION"] = header
        return asyncio.run(closing(async_user(request)))

    assert ask(f"Bearer {secret}") == ana
    with pytest.raises(Unauthenticated):
        ask("")
    with pytest.raises(Unauthenticated):
        ask("Bearer pct_x")
    with pytest.raises(ScopeMissing):
        ask(f"Bearer {writing}")


def test_a_session_needs_no_scope():
    require_scope(None, "export:read")


async def closing(awaitable):
    """The database is asked in a thread of its own, whose connection must not outlive the test."""
    try:
        return await awaitable
    finally:
        await sync_to_async(connections.close_all)()
