"""promote, drop and models/{id}/promote/: one current policy a project, whatever happens at once."""

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Event
from accounts.services import create_token
from common.errors import DomainError
from inference.models import ModelVersion
from inference.selectors import current_policy
from inference.services import drop, promote
from inference.services.promotion import NotPromotable
from tests.factories import VersionFactory


@pytest.fixture
def old(project):
    return VersionFactory(project=project, name="old", stage="current")


@pytest.fixture
def new(project):
    return VersionFactory(project=project, name="new")


def test_the_one_before_is_retired(project, old, new, eva):
    assert promote(version=new, actor=eva, reason="better").stage == "current"
    old.refresh_from_db()
    assert old.stage == "retired"
    assert current_policy(project) == new


def test_again_is_free_of_effect(old, new, eva):
    promote(version=new, actor=eva)
    events = Event.objects.count()
    promote(version=new, actor=eva)
    assert Event.objects.count() == events


def test_a_retired_one_can_come_back(project, old, new, eva):
    promote(version=new, actor=eva)
    promote(version=old, actor=eva)
    assert current_policy(project) == old


def test_a_dropped_one_is_not_the_policy_and_can_still_become_it(project, old, new, eva):
    assert drop(version=new, actor=eva).stage == "dropped"
    assert drop(version=new, actor=eva).stage == "dropped"
    assert current_policy(project) == old
    promote(version=new, actor=eva)
    assert current_policy(project) == new


def test_the_current_policy_cannot_be_dropped(old, eva):
    with pytest.raises(NotPromotable):
        drop(version=old, actor=eva)


@pytest.mark.parametrize("kind", ["reward", "external", "moderation", "embedding"])
def test_what_writes_no_text_is_no_policy(project, old, eva, kind):
    version = VersionFactory(project=project, kind=kind)
    with pytest.raises(NotPromotable, match="writes text"):
        promote(version=version, actor=eva)
    assert current_policy(project) == old


def test_the_database_refuses_two_current_policies(project, old):
    with pytest.raises(IntegrityError, match="one_current_policy"), transaction.atomic():
        VersionFactory(project=project, stage="current")
    with pytest.raises(IntegrityError, match="writes_text"), transaction.atomic():
        VersionFactory(kind="reward", stage="current")


@pytest.mark.django_db(transaction=True)
def test_many_promotions_at_once_leave_one_current_policy(project, old, eva):
    versions = [VersionFactory(project=project) for _ in range(8)]
    start, failed = threading.Barrier(8), []

    def work(version):
        start.wait()
        try:
            promote(version=version, actor=eva)
        except (DomainError, IntegrityError) as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    stages = list(ModelVersion.objects.values_list("stage", flat=True))
    assert (stages.count("current"), stages.count("retired"), stages.count("ready")) == (1, 8, 0)
    assert Event.objects.filter(kind="version.promoted").count() == 8


def test_a_failure_half_way_changes_nothing(project, old, new, eva):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "ALTER TABLE inference_modelversion ADD CONSTRAINT no_new CHECK (name <> 'new' OR stage <> 'current')"
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        promote(version=new, actor=eva)
    old.refresh_from_db()
    assert old.stage == "current"
    assert not Event.objects.filter(kind="version.retired").exists()


def test_an_admin_promotes_by_rest(client_of, eva, project, old, new):
    answer = client_of(eva).post(f"/api/v1/models/{new.pk}/promote/", {"note": "better"})
    assert (answer.status_code, answer.json()["stage"]) == (200, "current")
    event = Event.objects.get(kind="version.promoted")
    assert (event.actor, event.data["reason"], event.data["predecessor"]) == (
        str(eva.pk),
        "better",
        str(old.pk),
    )
    assert client_of(eva).post(f"/api/v1/models/{new.pk}/promote/").status_code == 200


@pytest.mark.parametrize(("who", "status"), [("ana", 403), ("ria", 403), ("zoe", 404), ("rex", 404)])
def test_others_may_not(client_of, request, who, status, old, new):
    answer = client_of(request.getfixturevalue(who)).post(f"/api/v1/models/{new.pk}/promote/")
    assert answer.status_code == status
    old.refresh_from_db()
    assert old.stage == "current"


def test_a_token_needs_the_scope(eva, old, new, client_of):
    for scopes, status in ((["runs:launch"], 403), (["models:promote"], 200)):
        _, secret = create_token(user=eva, name="x", scopes=scopes)
        client = client_of(None)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        assert client.post(f"/api/v1/models/{new.pk}/promote/").status_code == status


def test_a_reward_model_by_rest_says_why_not(client_of, eva, project):
    reward = VersionFactory(project=project, kind="reward")
    answer = client_of(eva).post(f"/api/v1/models/{reward.pk}/promote/")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_promotable")
