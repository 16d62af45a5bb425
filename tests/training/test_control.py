"""The control loop: one leads, each part by itself."""

import threading
import time

import pytest
from django.db import connection

from tests.training.factories import RoundFactory
from tests.training.machines import ticked
from training import control
from training.control import ControlLoop, Part
from training.models import Round
from training.services import rounds

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lead():
    """`lead()` starts a loop in a thread; it ends with the test."""
    started = []

    def start():
        loop = ControlLoop()

        def run():
            loop.run()
            connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        started.append((loop, thread))
        return loop

    yield start
    for loop, _ in started:
        loop.stop.set()
    for _, thread in started:
        thread.join(timeout=15)
        assert not thread.is_alive()


def wait(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_moves_rounds_on(lead, project, base, asked, eva):
    round_ = rounds.open_round(project=project, recipe={}, actor=eva)
    lead()
    wait(lambda: Round.objects.get(pk=round_.pk).state == "demonstrating")


def test_a_wake_up_saves_the_waiting(lead, project, base, asked, eva, monkeypatch):
    monkeypatch.setattr(control, "EVERY", 8.0)
    lead()
    time.sleep(1.5)
    round_ = rounds.open_round(project=project, recipe={}, actor=eva)
    wait(lambda: Round.objects.get(pk=round_.pk).state == "demonstrating", seconds=5)


def test_a_part_that_fails_does_not_stop_the_others(lead, monkeypatch):
    seen = []

    def fail():
        seen.append("failed")
        raise ZeroDivisionError

    monkeypatch.setattr(
        control, "PARTS", (Part("bad", 0.0, fail), Part("good", 0.0, lambda: seen.append("good")))
    )
    monkeypatch.setattr(control, "EVERY", 0.05)
    lead()
    wait(lambda: seen[:4] == ["failed", "good", "failed", "good"])


def test_a_round_that_raises_does_not_stop_the_others(project, other_project, base, asked, eva):
    good = rounds.open_round(project=project, recipe={}, actor=eva)
    bad = RoundFactory(project=other_project, number=1, recipe={"broken": True})
    Round.objects.filter(pk=bad.pk).update(created_at="2020-01-01T00:00:00Z")
    control.tick_rounds()
    assert Round.objects.get(pk=good.pk).state == "demonstrating"
    assert Round.objects.get(pk=bad.pk).state in ("draft", "failed")


def test_one_leads_and_the_other_takes_over(monkeypatch):
    monkeypatch.setattr(control, "EVERY", 0.05)
    passes = []

    class Counted(ControlLoop):
        def one_pass(self):
            passes.append(self)

    first, second = lead_two(Counted)
    try:
        wait(lambda: len(passes) > 5)
        assert len(set(map(id, passes))) == 1
        leader = passes[0]
        leader.stop.set()
        wait(lambda: any(one is not leader for one in passes))
    finally:
        for loop, thread in (first, second):
            loop.stop.set()
            thread.join(timeout=15)


def lead_two(kind):
    found = []
    for _ in range(2):
        loop = kind()
        thread = threading.Thread(target=loop.run)
        thread.start()
        found.append((loop, thread))
    return found


def test_a_broken_lock_connection_is_noticed(lead, monkeypatch, project, base, asked, eva):
    monkeypatch.setattr(control, "EVERY", 0.1)
    lead()
    wait(lambda: lock_holders() == 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    round_ = rounds.open_round(project=project, recipe={}, actor=eva)
    wait(lambda: lock_holders() == 1 and Round.objects.get(pk=round_.pk).state == "demonstrating")
    assert ticked(round_).state == "demonstrating"


def lock_holders():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        return cursor.fetchone()[0]
