"""Events are append-only, and a chain of hashes shows any change."""

import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from accounts.events import record
from accounts.models import Event
from accounts.sealer import broken_link, seal_events


@pytest.fixture
def events(ana, project):
    return [
        record("project.changed", subject=project, actor=ana, n=i, share=0.1 + 0.2, text="é")
        for i in range(5)
    ]


def test_every_event_gets_its_place_once(events):
    assert seal_events() == 5
    assert seal_events() == 0
    rows = Event.objects.order_by("id")
    assert [e.chain_seq for e in rows] == [1, 2, 3, 4, 5]
    assert len({e.chain_sha256 for e in rows}) == 5
    assert broken_link() is None


def test_later_events_go_on_from_the_last_hash(events, project):
    seal_events(limit=3)
    record("project.changed", subject=project)
    assert seal_events() == 3
    assert broken_link() is None


def test_an_empty_chain_is_whole(db):
    assert seal_events() == 0
    assert broken_link() is None


@pytest.mark.parametrize(
    "change", [{"data": {}}, {"kind": "x"}, {"actor": None}, {"chain_seq": 9, "chain_sha256": "x"}]
)
def test_the_database_refuses_to_change_an_event(events, change):
    seal_events()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=events[0].pk).update(**change)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=events[0].pk).delete()


def test_an_event_without_a_place_cannot_be_changed_either(events):
    for change in ({"data": {}}, {"chain_seq": 1, "chain_sha256": "x", "kind": "y"}, {"chain_seq": 1}):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Event.objects.filter(pk=events[0].pk).update(**change)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        events[0].delete()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounts_event SET data = '{}' WHERE id = %s",
        "UPDATE accounts_event SET at = at + interval '1 us' WHERE id = %s",
        "UPDATE accounts_event SET actor = 'x' WHERE id = %s",
        "UPDATE accounts_event SET kind = kind || 'x' WHERE id = %s",
        "DELETE FROM accounts_event WHERE id = %s",
    ],
)
def test_whoever_gets_round_that_is_found_out(events, change):
    seal_events()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(change, [events[2].pk])
        cursor.execute("SET session_replication_role = origin")
    assert broken_link() == 3
    with pytest.raises(CommandError, match="place 3"):
        call_command("verify_events")


def test_the_command_says_that_the_chain_is_whole(events, capsys):
    seal_events()
    call_command("verify_events")
    assert "5 events, chain whole" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_two_sealers_at_once_make_one_chain(events):
    start, done = threading.Barrier(4), []

    def seal():
        start.wait()
        done.append(seal_events())
        connection.close()

    threads = [threading.Thread(target=seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 5
    assert broken_link() is None
