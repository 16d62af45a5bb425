"""projects/{id}/models/, models/{id}/, models/{id}/lineage/: what reviewers and admins see of versions."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inference.models import VersionParent
from tests.factories import VersionFactory


@pytest.fixture
def versions(project):
    base = VersionFactory(project=project, name="base", kind="base", stage="current", parameters=1234)
    sft = VersionFactory(project=project, name="sft", kind="sft", metrics={"loss": 1.5}, is_synthetic=True)
    VersionParent.objects.create(child=sft, parent=base, role="model")
    return base, sft


def test_a_reviewer_lists_them_newest_first(client_of, ria, project, versions):
    listed = client_of(ria).get(f"/api/v1/projects/{project.pk}/models/").json()
    assert [one["name"] for one in listed] == ["sft", "base"]
    assert set(listed[0]) == {
        "id", "name", "kind", "stage", "digest", "parameters", "context_tokens", "metrics", "card", "is_synthetic",
        "created_at", "parents", "made_by", "round",
    }  # fmt: skip
    assert listed[0]["parents"] == [{"role": "model", "id": str(versions[0].pk), "name": "base"}]
    assert listed[0]["metrics"] == {"loss": 1.5}


@pytest.mark.parametrize(("who", "status"), [("ana", 403), ("zoe", 404), ("rex", 404)])
def test_who_judges_answers_does_not_see_what_wrote_them(client_of, request, who, status, project, versions):
    client = client_of(request.getfixturevalue(who))
    for address in (
        f"projects/{project.pk}/models/",
        f"models/{versions[1].pk}/",
        f"models/{versions[1].pk}/lineage/",
    ):
        assert client.get(f"/api/v1/{address}").status_code == status


def test_many_versions_take_as_many_queries_as_one(
    client_of, ria, project, versions, django_assert_num_queries
):
    client = client_of(ria)
    address = f"/api/v1/projects/{project.pk}/models/"
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for _ in range(20):
        VersionParent.objects.create(child=VersionFactory(project=project), parent=versions[0], role="model")
    with django_assert_num_queries(len(few)):
        assert len(client.get(address).json()) == 22


def test_one_version_with_its_card(client_of, eva, project):
    card = "# Card <img src=x onerror=alert(1)>"
    version = VersionFactory(project=project, card=card)
    assert client_of(eva).get(f"/api/v1/models/{version.pk}/").json()["card"] == card


def test_its_lineage_is_a_graph(client_of, eva, versions):
    graph = client_of(eva).get(f"/api/v1/models/{versions[0].pk}/lineage/").json()
    assert {node["label"] for node in graph["nodes"]} >= {"base", "sft"}
    edge = {"from": str(versions[0].pk), "to": str(versions[1].pk), "role": "model"}
    assert edge in graph["edges"]


def test_a_version_of_another_project_is_404_even_for_its_ids_sake(client_of, eva, other_project):
    foreign = VersionFactory(project=other_project)
    assert client_of(eva).get(f"/api/v1/models/{foreign.pk}/").status_code == 404
    assert client_of(eva).get(f"/api/v1/models/{foreign.pk}/lineage/").status_code == 404
