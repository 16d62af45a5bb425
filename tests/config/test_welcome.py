from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import User


@pytest.fixture
def welcome(db):
    def run() -> list[str]:
        out = StringIO()
        call_command("welcome", stdout=out)
        return out.getvalue().splitlines()

    return run


def test_one_person_of_each_role_of_the_demo_gets_a_link(welcome, project, ana, ben, ria, eva, rex):
    project.is_demo = True
    project.save()
    assert [line.split()[:2] for line in welcome()] == [
        ["Eva", "(admin)"],
        ["Ria", "(reviewer)"],
        ["Ana", "(labeler)"],
    ]
    assert all("/sign-in#" in line for line in welcome())


def test_without_a_demo_the_first_admin_is_made_once(welcome):
    assert welcome()[0].startswith("Admin (admin)")
    welcome()
    assert list(User.objects.values_list("username", "is_staff")) == [("admin", True)]


def test_simulated_people_get_no_link(welcome, project, eva):
    project.is_demo = True
    project.save()
    User.objects.filter(pk=eva.pk).update(is_synthetic=True)
    assert "Eva" not in "".join(welcome())
