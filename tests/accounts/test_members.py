"""projects/{id}/members/: who works here, invitations, and ways in."""

import pytest

from accounts.models import Event, Membership, User
from accounts.services import add_member, sign_in_with


@pytest.fixture
def members(project):
    return f"/api/v1/projects/{project.pk}/members/"


def test_an_admin_lists_them_by_name(client_of, eva, ana, ria, members, django_assert_max_num_queries):
    client = client_of(eva)
    with django_assert_max_num_queries(4):
        listed = client.get(members).json()
    assert [(m["user"]["display_name"], m["role"], m["pool"]) for m in listed] == [
        ("Ana", "labeler", "train"),
        ("Eva", "admin", "train"),
        ("Ria", "reviewer", "train"),
    ]
    assert listed[0]["user"]["username"] == "ana"  # what commands call her by


@pytest.mark.parametrize(("who", "status"), [("ana", 403), ("ria", 403), ("zoe", 404), ("rex", 404)])
def test_others_may_neither_list_nor_invite(client_of, request, who, status, members):
    client = client_of(request.getfixturevalue(who))
    assert client.get(members).status_code == status
    assert client.post(members, {"username": "new", "role": "admin"}).status_code == status
    assert not User.objects.filter(username="new").exists()


def test_an_invited_person_comes_in_by_the_link(client_of, eva, project, members):
    body = {"username": "mia", "display_name": "Mia 米娅", "role": "labeler", "pool": "heldout"}
    answer = client_of(eva).post(members, body)
    assert answer.status_code == 201
    assert answer.json()["member"]["pool"] == "heldout"
    secret = answer.json()["sign_in_link"].split("#")[1]
    user = sign_in_with(secret)
    assert (user.username, user.display_name, user.has_usable_password()) == ("mia", "Mia 米娅", False)
    assert secret not in client_of(eva).get(members).content.decode()


def test_nobody_is_a_member_twice(client_of, eva, ana, members):
    answer = client_of(eva).post(members, {"username": "ana", "role": "admin"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_member")
    assert Membership.objects.get(user=ana).role == "labeler"


def test_a_person_of_another_project_is_added_without_a_way_into_their_account(client_of, eva, rex, members):
    answer = client_of(eva).post(members, {"username": "rex", "role": "labeler"})
    assert answer.status_code == 201
    assert answer.json()["sign_in_link"] is None
    link = client_of(eva).post(f"{members}{rex.pk}/link/")
    assert (link.status_code, link.json()["code"]) == (403, "link_not_allowed")


def test_no_way_into_the_account_of_the_sites_admin(client_of, eva, zoe, project, members):
    zoe.is_staff = True
    zoe.save()
    add_member(project=project, user=zoe, role="labeler")
    assert client_of(eva).post(f"{members}{zoe.pk}/link/").status_code == 403


def test_an_admin_makes_a_fresh_link_for_a_member(client_of, eva, ana, members):
    answer = client_of(eva).post(f"{members}{ana.pk}/link/")
    assert answer.status_code == 201
    assert sign_in_with(answer.json()["sign_in_link"].split("#")[1]) == ana


def test_role_and_pool_can_be_changed(client_of, eva, ana, members):
    answer = client_of(eva).patch(f"{members}{ana.pk}/", {"role": "reviewer", "pool": "researcher"})
    assert (answer.status_code, answer.json()["role"], answer.json()["pool"]) == (
        200,
        "reviewer",
        "researcher",
    )


@pytest.mark.parametrize("weight", [0, -1, 10.5, "nan", "inf", None, "much"])
def test_a_weight_out_of_its_range_is_refused(client_of, eva, ana, members, weight):
    answer = client_of(eva).patch(f"{members}{ana.pk}/", {"weight": weight})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "weight")
    assert {one["weight"] for one in client_of(eva).get(members).json()} == {1.0}


def test_admins_weigh_a_person_s_rankings(client_of, eva, ana, members):
    changed = client_of(eva).patch(f"{members}{ana.pk}/", {"weight": 0.25}).json()
    assert (changed["weight"], changed["pool"]) == (0.25, "train")
    told = {one["user"]["id"]: one["weight"] for one in client_of(eva).get(members).json()}
    assert (told.pop(str(ana.pk)), set(told.values())) == (0.25, {1.0})
    assert Event.objects.get(kind="membership.changed").data["weight"] == 0.25
    assert client_of(ana).patch(f"{members}{ana.pk}/", {"weight": 10}).status_code == 403


def test_the_last_admin_stays(client_of, eva, members):
    for answer in (
        client_of(eva).patch(f"{members}{eva.pk}/", {"role": "labeler"}),
        client_of(eva).delete(f"{members}{eva.pk}/"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    assert Membership.objects.get(user=eva).role == "admin"


def test_a_removed_member_sees_nothing_at_once(client_of, eva, ana, project, members):
    client = client_of(ana)
    assert client.get(f"/api/v1/projects/{project.pk}/").status_code == 200
    assert client_of(eva).delete(f"{members}{ana.pk}/").status_code == 204
    assert client.get(f"/api/v1/projects/{project.pk}/").status_code == 404
    assert client_of(eva).delete(f"{members}{ana.pk}/").status_code == 404


@pytest.mark.parametrize("username", ["Ana Maria", "a/b", "../x", "", "a" * 64, "Ä", "-x"])
def test_odd_usernames_are_refused(client_of, eva, members, username):
    answer = client_of(eva).post(members, {"username": username, "role": "labeler"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "username"


@pytest.mark.parametrize(("field", "value"), [("is_staff", True), ("role", "owner"), ("pool", "x")])
def test_nothing_else_can_be_set(client_of, eva, members, field, value):
    answer = client_of(eva).post(members, {"username": "mia", "role": "labeler", field: value})
    assert answer.status_code == 400
    assert not User.objects.filter(username="mia").exists()


def test_a_program_that_labels_is_marked_and_a_person_never_is(client_of, eva, ana, rex, members):
    body = {"role": "labeler", "is_synthetic": True}
    made = client_of(eva).post(members, {**body, "username": "sim-1"}).json()
    assert made["member"]["user"]["is_synthetic"]
    added = client_of(eva).post(members, {**body, "username": "rex"}).json()
    assert not added["member"]["user"]["is_synthetic"]


def test_it_records_who_invited_whom(client_of, eva, project, members):
    client_of(eva).post(members, {"username": "mia", "role": "labeler"})
    mia = User.objects.get(username="mia")
    kinds = list(Event.objects.filter(subject=f"user:{mia.pk}").order_by("id").values_list("kind", flat=True))
    assert kinds == ["user.created", "membership.created", "sign_in_link.made"]
    event = Event.objects.get(kind="membership.created")
    assert (event.actor, event.project_id) == (str(eva.pk), project.pk)
    assert "mia" not in str(list(Event.objects.values_list("data", flat=True)))


def test_a_person_changes_their_own_name_and_language(client_of, ana):
    assert client_of(ana).get("/api/v1/me/").json()["language"] is None, "the browser's, until one is chosen"
    answer = client_of(ana).patch("/api/v1/me/", {"display_name": "安娜", "language": "zh-Hans"})
    assert (answer.json()["display_name"], answer.json()["language"]) == ("安娜", "zh-Hans")
    assert client_of(ana).patch("/api/v1/me/", {"language": "de"}).status_code == 400
    assert client_of(ana).patch("/api/v1/me/", {"is_staff": True}).status_code == 400
