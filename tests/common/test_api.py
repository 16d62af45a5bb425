"""The shared behaviour of REST endpoints, on endpoints of this file."""

import pytest
from django.http import Http404
from django.urls import include, path
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from common.api import MAX_BODY_BYTES, StrictSerializer, fingerprint, idempotency_key, if_match
from common.errors import DomainError, Stale


class ItemIn(StrictSerializer):
    name = serializers.CharField(max_length=5)


class BodyIn(StrictSerializer):
    count = serializers.IntegerField(min_value=1)
    items = ItemIn(many=True, required=False)


class TooEarly(DomainError):
    code = "too_early"
    message = "Wait."


class Echo(APIView):
    permission_classes = (AllowAny,)

    def post(self, request):
        return Response(BodyIn.parse(request.data))

    def put(self, request):
        return Response({"key": idempotency_key(request, required=True), "version": if_match(request)})

    def delete(self, request):
        raise {"early": TooEarly(extra={"in_s": 3}), "stale": Stale(), "gone": Http404()}[request.GET["why"]]


class Closed(APIView):
    def get(self, request):
        return Response({})


urlpatterns = [
    path("api/echo/", Echo.as_view()),
    path("api/closed/", Closed.as_view()),
    path("", include("config.urls")),
]


@pytest.fixture
def client(db, settings):
    settings.ROOT_URLCONF = __name__
    return APIClient()


def test_good_input_passes(client):
    answer = client.post("/api/echo/", {"count": 2, "items": [{"name": "a"}]}, format="json")
    assert answer.json() == {"count": 2, "items": [{"name": "a"}]}


def test_every_wrong_field_is_named_with_its_path(client):
    answer = client.post(
        "/api/echo/", {"count": 0, "items": [{"name": "ok"}, {"name": "too long"}]}, format="json"
    )
    body = answer.json()
    assert (answer.status_code, answer["Content-Type"], body["code"]) == (
        400,
        "application/problem+json",
        "invalid",
    )
    assert [(e["field"], e["code"]) for e in body["errors"]] == [
        ("count", "min_value"),
        ("items.1.name", "max_length"),
    ]
    assert body["detail"] == body["errors"][0]["message"]


def test_an_unknown_field_is_refused_by_name_at_any_depth(client):
    body = client.post("/api/echo/", {"count": 1, "role": "admin"}, format="json").json()
    assert [(e["field"], e["code"]) for e in body["errors"]] == [("role", "unknown_field")]
    body = client.post("/api/echo/", {"count": 1, "items": [{"name": "a", "x": 1}]}, format="json").json()
    assert [(e["field"], e["code"]) for e in body["errors"]] == [("items.0.x", "unknown_field")]


@pytest.mark.parametrize("body", [b"{", b'{"count": NaN}', rb'{"count": "\ud800"}', b"\xff", b"[" * 5000])
def test_what_is_not_exact_json_is_a_400(client, body):
    answer = client.post("/api/echo/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


def test_a_body_that_is_too_large_is_a_413(client):
    answer = client.post("/api/echo/", b'"' + b"a" * MAX_BODY_BYTES + b'"', content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_other_content_types_are_refused(client):
    answer = client.post("/api/echo/", {"count": 1}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("why", "status", "code"),
    [("early", 409, "too_early"), ("stale", 412, "stale"), ("gone", 404, "not_found")],
)
def test_domain_errors_keep_their_code_and_status(client, why, status, code):
    answer = client.delete(f"/api/echo/?why={why}")
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert body.get("extra") == ({"in_s": 3} if why == "early" else None)


def test_who_is_not_signed_in_gets_401_or_403_as_a_problem(client):
    answer = client.get("/api/closed/")
    assert answer.status_code in (401, 403)
    assert answer.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("key", [None, "short", "has space in it", "ü" * 10, "k" * 201])
def test_a_bad_idempotency_key_is_named(client, key):
    answer = client.put("/api/echo/", headers={} if key is None else {"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")


def test_conditional_headers_are_read(client):
    headers = {"Idempotency-Key": "abcd-1234", "If-Match": 'W/"17"'}
    assert client.put("/api/echo/", headers=headers).json() == {"key": "abcd-1234", "version": 17}
    answer = client.put("/api/echo/", headers=headers | {"If-Match": "seventeen"})
    assert answer.json()["code"] == "bad_if_match"


def test_the_fingerprint_is_of_the_meaning_not_the_spelling():
    assert (
        fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 1, "b": [3]})
    )
