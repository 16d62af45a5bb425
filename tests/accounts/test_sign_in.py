"""auth/csrf/, auth/sign-in/, auth/sign-out/: single-use links, sessions, CSRF, the brake on guessing."""

import threading

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import Event, SignInLink
from accounts.services import make_sign_in_link, sign_in_with
from accounts.services.links import LinkUsed
from accounts.throttle import FAILURES
from common.errors import DomainError

SIGN_IN = "/api/v1/auth/sign-in/"


@pytest.fixture(autouse=True)
def fresh_counts(services):
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def browser(db):
    """A browser that checks CSRF as a real one must pass it, with a token of its own."""
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_X_CSRFTOKEN=client.get("/api/v1/auth/csrf/").json()["csrf_token"])
    return client


def test_a_link_signs_its_person_in(browser, ana, project):
    link, secret = make_sign_in_link(user=ana)
    assert link.endswith(f"/sign-in#{secret}")
    answer = browser.post(SIGN_IN, {"secret": secret})
    assert answer.status_code == 200
    assert answer.json()["username"] == "ana"
    assert browser.get("/api/v1/me/").json()["memberships"] == [
        {"project": {"id": str(project.pk), "name": "Letters"}, "role": "labeler", "pool": "train"}
    ]


def test_the_secret_is_stored_nowhere(ana):
    _, secret = make_sign_in_link(user=ana)
    assert secret not in str(list(SignInLink.objects.values()) + list(Event.objects.values()))
    assert len(secret) >= 43


def test_a_link_works_once(browser, ana):
    _, secret = make_sign_in_link(user=ana)
    browser.post(SIGN_IN, {"secret": secret})
    browser.credentials(HTTP_X_CSRFTOKEN=browser.get("/api/v1/auth/csrf/").json()["csrf_token"])
    answer = browser.post(SIGN_IN, {"secret": secret})
    assert (answer.status_code, answer.json()["code"]) == (410, "link_used")
    assert answer["Content-Type"] == "application/problem+json"


def test_an_old_link_is_expired(browser, ana, clock):
    _, secret = make_sign_in_link(user=ana)
    clock.advance(hours=73)
    answer = browser.post(SIGN_IN, {"secret": secret})
    assert (answer.status_code, answer.json()["code"]) == (410, "link_expired")
    assert "preceptor_session" not in browser.cookies


def test_an_unknown_link_is_unknown(browser, ana):
    answer = browser.post(SIGN_IN, {"secret": "x" * 43})
    assert (answer.status_code, answer.json()["code"]) == (404, "link_unknown")


def test_a_person_who_was_shut_out_cannot_come_in(browser, ana):
    _, secret = make_sign_in_link(user=ana)
    ana.is_active = False
    ana.save()
    assert browser.post(SIGN_IN, {"secret": secret}).json()["code"] == "link_unknown"


def test_opening_the_address_uses_nothing_up(browser, ana):
    _, secret = make_sign_in_link(user=ana)
    assert browser.get(SIGN_IN).status_code == 405
    assert browser.post(SIGN_IN, {"secret": secret}).status_code == 200


def test_without_a_csrf_token_nobody_is_signed_in(ana):
    _, secret = make_sign_in_link(user=ana)
    answer = APIClient(enforce_csrf_checks=True).post(SIGN_IN, {"secret": secret})
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert SignInLink.objects.get().used_at is None


def test_unknown_fields_are_refused_by_name(browser, ana):
    answer = browser.post(SIGN_IN, {"secret": "x", "user": "eva"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "user"
    assert answer.json()["errors"][0]["code"] == "unknown_field"


def test_signing_in_changes_the_session(browser, ana, ben):
    for user in (ana, ben):
        _, secret = make_sign_in_link(user=user)
        before = browser.cookies.get("preceptor_session")
        browser.post(SIGN_IN, {"secret": secret})
        after = browser.cookies["preceptor_session"]
        assert before is None or before.value != after.value
        browser.credentials(HTTP_X_CSRFTOKEN=browser.get("/api/v1/auth/csrf/").json()["csrf_token"])
    assert browser.get("/api/v1/me/").json()["username"] == "ben"
    assert Session.objects.count() == 1  # ana's session is gone
    assert after["httponly"]
    assert after["samesite"] == "Lax"


def test_signing_out_ends_the_session_on_the_server(browser, ana):
    _, secret = make_sign_in_link(user=ana)
    browser.post(SIGN_IN, {"secret": secret})
    stolen = browser.cookies["preceptor_session"].value
    browser.credentials(HTTP_X_CSRFTOKEN=browser.get("/api/v1/auth/csrf/").json()["csrf_token"])
    answer = browser.post("/api/v1/auth/sign-out/")
    assert answer.status_code == 204
    assert '"storage"' in answer["Clear-Site-Data"]
    thief = APIClient()
    thief.cookies["preceptor_session"] = stolen
    assert thief.get("/api/v1/me/").status_code == 401


def test_unsafe_requests_of_a_session_need_the_csrf_token(ana):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(ana)
    answer = client.patch("/api/v1/me/", {"display_name": "Eve"})
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    ana.refresh_from_db()
    assert ana.display_name == "Ana"


def test_guessing_is_stopped_and_a_good_link_is_kept(browser, ana):
    _, secret = make_sign_in_link(user=ana)
    codes = [browser.post(SIGN_IN, {"secret": f"guess-{i}"}).json()["code"] for i in range(FAILURES + 1)]
    assert codes == ["link_unknown"] * FAILURES + ["too_many_attempts"]
    assert browser.post(SIGN_IN, {"secret": secret}).status_code == 429
    assert SignInLink.objects.get().used_at is None
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert browser.post(SIGN_IN, {"secret": secret}, **elsewhere).status_code == 200


def test_behind_a_proxy_who_guesses_locks_out_nobody_else(browser, ana, settings):
    settings.PRECEPTOR_TRUST_PROXY = True
    _, secret = make_sign_in_link(user=ana)
    guesser = {"HTTP_X_FORWARDED_FOR": "made-up, 192.0.2.66"}
    codes = [
        browser.post(SIGN_IN, {"secret": "guess"}, **guesser).json()["code"] for _ in range(FAILURES + 1)
    ]
    assert codes[-1] == "too_many_attempts"
    other_lie = {"HTTP_X_FORWARDED_FOR": "another, 192.0.2.66"}
    assert browser.post(SIGN_IN, {"secret": "guess"}, **other_lie).status_code == 429
    assert browser.post(SIGN_IN, {"secret": secret}, HTTP_X_FORWARDED_FOR="192.0.2.7").status_code == 200


def test_when_nobody_can_count_nobody_comes_in(browser, ana, settings):
    _, secret = make_sign_in_link(user=ana)
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///nowhere/valkey.sock",
        }
    }
    answer = browser.post(SIGN_IN, {"secret": secret})
    assert (answer.status_code, answer.json()["code"]) == (503, "sign_in_unavailable")
    assert SignInLink.objects.get().used_at is None


def test_it_records_an_event_without_a_name(ana):
    _, secret = make_sign_in_link(user=ana)
    sign_in_with(secret)
    event = Event.objects.get(kind="user.signed_in")
    assert (event.subject, event.actor) == (f"user:{ana.pk}", str(ana.pk))
    assert "ana" not in str(event.data)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_open_one_link_at_once_one_comes_in(ana):
    _, secret = make_sign_in_link(user=ana)
    start, seen = threading.Barrier(8), []

    def open_it():
        start.wait()
        try:
            seen.append(sign_in_with(secret).username)
        except DomainError as error:
            seen.append(type(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, seen)) == sorted(map(str, ["ana", *[LinkUsed] * 7]))


def test_it_takes_few_queries(browser, ana, django_assert_max_num_queries):
    _, secret = make_sign_in_link(user=ana)
    with django_assert_max_num_queries(14):
        assert browser.post(SIGN_IN, {"secret": secret}).status_code == 200
