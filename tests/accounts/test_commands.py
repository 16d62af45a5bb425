"""create_admin and signin_link, as an operator uses them."""

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from accounts.services import sign_in_with


def test_the_first_admin_comes_in_by_a_printed_link(db, capsys):
    call_command("create_admin", "eva", "--name", "Eva Admin")
    secret = capsys.readouterr().out.strip().split("#")[1]
    user = sign_in_with(secret)
    assert (user.display_name, user.is_staff, user.has_usable_password()) == ("Eva Admin", True, False)


def test_again_it_prints_another_link_and_makes_nobody(db, capsys):
    call_command("create_admin", "eva")
    call_command("create_admin", "eva")
    links = capsys.readouterr().out.split()
    assert len(set(links)) == 2
    assert User.objects.count() == 1


def test_it_never_makes_an_existing_person_an_admin(ana):
    with pytest.raises(CommandError, match="exists"):
        call_command("create_admin", "ana")
    ana.refresh_from_db()
    assert not ana.is_staff


def test_an_odd_name_is_refused(db):
    with pytest.raises(CommandError, match="username"):
        call_command("create_admin", "Eva Admin")


def test_links_for_several_people(ana, ben, capsys):
    call_command("signin_link", "ana", "ben", "--hours", "1")
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert sign_in_with(lines["ben"].split("#")[1]) == ben


@pytest.mark.parametrize("words", [["nobody"], ["ana", "--hours", "0"], ["ana", "--hours", "9999"]])
def test_nonsense_is_refused(ana, words):
    with pytest.raises(CommandError):
        call_command("signin_link", *words)
