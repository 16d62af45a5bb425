import re

import pytest
from django.test import Client


@pytest.fixture
def client(db):
    return Client()


@pytest.fixture
def built(settings, tmp_path):
    """A built front end: what Vite leaves, reduced to the manifest."""
    (tmp_path / ".vite").mkdir()
    manifest = '{"src/main.tsx": {"file": "assets/main-Ab3dEf9h.js", "src": "src/main.tsx", "isEntry": true}}'
    (tmp_path / ".vite" / "manifest.json").write_text(manifest)
    settings.FRONTEND_DIST = tmp_path
    vite = settings.DJANGO_VITE["default"] | {"manifest_path": tmp_path / ".vite" / "manifest.json"}
    settings.DJANGO_VITE = {"default": vite}
    from django_vite.core.asset_loader import DjangoViteAssetLoader

    DjangoViteAssetLoader._instance = None
    yield
    DjangoViteAssetLoader._instance = None


@pytest.mark.parametrize("path", ["/", "/sign-in", "/p/7/rounds/9", "/apiary", "/v1x"])
def test_every_other_address_is_the_page_with_its_own_nonce(client, built, path):
    first, second = client.get(path), client.get(path)
    assert first.status_code == 200
    nonce = re.search(r'name="csp-nonce" content="([^"]{20,})"', first.text)[1]
    assert f"'nonce-{nonce}'" in first["Content-Security-Policy"]
    assert nonce not in second.text
    assert 'src="/static/assets/main-Ab3dEf9h.js"' in first.text
    assert "preceptor_csrf" in first.cookies


def test_the_page_lets_no_foreign_code_in(client, built):
    answer = client.get("/")
    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert (answer["X-Frame-Options"], answer["Cache-Control"]) == ("DENY", "no-store")
    assert (answer["Referrer-Policy"], answer["X-Content-Type-Options"]) == ("same-origin", "nosniff")
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


def test_without_a_build_the_page_says_what_to_do(client, settings, tmp_path):
    settings.FRONTEND_DIST = tmp_path
    answer = client.get("/")
    assert answer.status_code == 503
    assert "make up" in answer.text


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1/nothing/", "/api/nothing", "/v1/models", "/static/nothing.js"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_api_address_is_a_problem_and_never_the_page(client, path, method):
    answer = getattr(client, method)(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_forgotten_slash_is_told(client):
    assert "end in a slash" in client.get("/api/v1/me").json()["detail"]


def test_a_strange_host_is_refused_as_a_problem(client):
    answer = client.get("/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_the_page_takes_no_other_method(client):
    assert client.post("/").status_code == 405


def test_each_answer_has_a_request_id_and_keeps_a_sane_one(client):
    assert re.fullmatch(r"[0-9a-f]{32}", client.get("/healthz")["X-Request-ID"])
    assert client.get("/healthz", headers={"X-Request-ID": "proxy-12345"})["X-Request-ID"] == "proxy-12345"
    strange = client.get("/healthz", headers={"X-Request-ID": "a b\tc" * 50})["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", strange)
