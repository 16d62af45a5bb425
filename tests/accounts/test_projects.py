"""projects/, projects/{id}/: what members see and admins change, and opening a project with a base model."""

import pytest

from accounts.models import Event, Project
from accounts.services import add_member, create_project, pseudonym
from tests.factories import MembershipFactory, VersionFactory, model_folder

PROJECTS = "/api/v1/projects/"


@pytest.fixture
def models_dir(settings, tmp_path):
    settings.PRECEPTOR_MODELS_DIR = tmp_path / "models"
    model_folder(tmp_path / "models" / "tiny")
    return tmp_path / "models"


def test_a_person_sees_their_own_projects_with_their_role(client_of, ana, rex, project, other_project):
    listed = client_of(ana).get(PROJECTS).json()
    assert [(p["id"], p["role"]) for p in listed] == [(str(project.pk), "labeler")]
    assert set(listed[0]["counts"]) == {"prompts", "open_tasks", "rankings", "demonstrations", "versions"}
    assert listed[0]["current_policy"] is None
    assert "guidelines" not in listed[0]
    assert "salt" not in str(client_of(ana).get(f"{PROJECTS}{project.pk}/").json())


def test_a_stranger_sees_none_and_gets_404(client_of, zoe, project):
    assert client_of(zoe).get(PROJECTS).json() == []
    answer = client_of(zoe).get(f"{PROJECTS}{project.pk}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    missing = client_of(zoe).get(f"{PROJECTS}00000000-0000-4000-8000-000000000000/")
    assert missing.json() == answer.json()  # missing and forbidden look the same


def test_nobody_gets_401(client_of, project):
    answer = client_of(None).get(PROJECTS)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_versions_and_the_current_policy_are_counted(client_of, ana, project):
    VersionFactory(project=project, name="old", stage="retired")
    VersionFactory(project=project, name="starter", stage="current")
    listed = client_of(ana).get(PROJECTS).json()[0]
    assert listed["counts"]["versions"] == 2
    assert listed["current_policy"]["name"] == "starter"


def test_twenty_projects_take_as_many_queries_as_one(client_of, ana, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = client_of(ana)
    client.get(PROJECTS)
    with CaptureQueriesContext(connection) as one:
        client.get(PROJECTS)
    for _ in range(20):
        project = MembershipFactory(user=ana).project
        VersionFactory(project=project, stage="current")
    with django_assert_num_queries(len(one)):
        assert len(client.get(PROJECTS).json()) == 21
    assert len(one) <= 14


def test_an_admin_changes_it_and_new_guidelines_get_a_version(client_of, eva, project):
    client = client_of(eva)
    body = client.patch(
        f"{PROJECTS}{project.pk}/", {"name": " New  name ", "guidelines": "# Be kind\n"}
    ).json()
    assert (body["name"], body["guidelines"], body["guideline_version"]) == ("New name", "# Be kind\n", 2)
    again = client.patch(f"{PROJECTS}{project.pk}/", {"guidelines": "# Be kind\n"}).json()
    assert again["guideline_version"] == 2
    assert Event.objects.filter(kind="project.changed").first().data == {"changed": ["name", "guidelines"]}


@pytest.mark.parametrize("who", ["ana", "ria"])
def test_others_may_not(client_of, request, who, project):
    answer = client_of(request.getfixturevalue(who)).patch(f"{PROJECTS}{project.pk}/", {"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("is_demo", True),
        ("salt", "x"),
        ("guideline_version", 9),
        ("name", ""),
        ("name", "a\x00b"),
        ("name", "x" * 121),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(client_of, eva, project, field, value):
    answer = client_of(eva).patch(f"{PROJECTS}{project.pk}/", {field: value})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_hostile_text_comes_back_as_the_text_it_is(client_of, eva, project):
    text = "<script>alert(1)</script> ![x](http://evil) \u202e"
    client_of(eva).patch(f"{PROJECTS}{project.pk}/", {"guidelines": text, "description": text})
    answer = client_of(eva).get(f"{PROJECTS}{project.pk}/")
    assert answer.json()["guidelines"] == answer.json()["description"] == text
    assert answer["Content-Type"] == "application/json"


def test_an_admin_opens_a_project_on_a_base_model(client_of, eva, models_dir):
    answer = client_of(eva).post(PROJECTS, {"name": "Second", "base_model": "tiny"})
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert (body["role"], body["current_policy"]["name"], body["counts"]["versions"]) == ("admin", "tiny", 1)


def test_the_sites_admin_opens_the_first_one(client_of, zoe, models_dir):
    zoe.is_staff = True
    zoe.save()
    assert client_of(zoe).post(PROJECTS, {"name": "First", "base_model": "tiny"}).status_code == 201


@pytest.mark.parametrize("who", ["ana", "ria", "zoe"])
def test_other_people_open_none(client_of, request, who, models_dir):
    answer = client_of(request.getfixturevalue(who)).post(PROJECTS, {"name": "x", "base_model": "tiny"})
    assert (answer.status_code, answer.json()["code"]) == (403, "may_not_create_projects")


@pytest.mark.parametrize("name", ["nope", "../tiny", "/etc", "tiny/", "."])
def test_an_unknown_base_model_opens_nothing(client_of, eva, models_dir, name):
    before = Project.objects.count()
    answer = client_of(eva).post(PROJECTS, {"name": "x", "base_model": name})
    assert (answer.status_code, answer.json()["code"]) == (400, "base_model_unknown")
    assert Project.objects.count() == before


def test_a_labelers_pseudonym_differs_between_projects(ana, project, other_project):
    here, there = pseudonym(project, ana.pk), pseudonym(other_project, ana.pk)
    assert here == pseudonym(project, str(ana.pk))
    assert here != there
    assert here.startswith("h:")
    assert len(here) == 18


def test_projects_have_salts_of_their_own(eva):
    salts = {bytes(create_project(name=f"P{i}", creator=eva).salt) for i in range(3)}
    assert len(salts) == 3
    assert all(len(salt) == 32 for salt in salts)


def test_the_list_of_events_is_for_admins_newest_first(client_of, eva, ria, ana, project):
    add_member(project=project, user=ana_twin(), role="labeler", actor=eva)
    client_of(eva).patch(f"{PROJECTS}{project.pk}/", {"name": "New"})
    body = client_of(eva).get(f"{PROJECTS}{project.pk}/events/").json()
    assert [e["kind"] for e in body["results"]] == ["project.changed", "membership.created"]
    assert body["results"][0]["actor"] == {"id": str(eva.pk), "display_name": "Eva"}
    assert client_of(ria).get(f"{PROJECTS}{project.pk}/events/").status_code == 403


def test_the_list_of_events_comes_in_pages_without_one_query_an_event(
    client_of, eva, project, django_assert_max_num_queries
):
    for i in range(30):
        client_of(eva).patch(f"{PROJECTS}{project.pk}/", {"name": f"Name {i}"})
    client = client_of(eva)
    with django_assert_max_num_queries(6):
        page = client.get(f"{PROJECTS}{project.pk}/events/?page_size=20").json()
    assert len(page["results"]) == 20
    rest = client.get(page["next"]).json()["results"]
    assert len(rest) == 10
    assert not {e["id"] for e in rest} & {e["id"] for e in page["results"]}


def ana_twin():
    from tests.factories import UserFactory

    return UserFactory()
