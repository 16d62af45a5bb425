from datetime import UTC, datetime

import pytest
from django.db.models import F, Value
from django.db.models.functions import Concat

from common.state_machine import IllegalMove, move, move_rows
from inference.models import ModelVersion
from training.models import Round
from training.states import ROUND_MOVES, RoundState


@pytest.fixture
def round_(project):
    base = ModelVersion.objects.create(project=project, name="base", kind="base", digest="0" * 64)
    return Round.objects.create(project=project, number=1, recipe={}, opponent=base)


def test_a_legal_move_is_one_update_and_the_object_knows_it(round_, django_assert_num_queries):
    with django_assert_num_queries(1):
        move(round_, RoundState.DEMONSTRATING, ROUND_MOVES, reason="go")
    assert (round_.state, round_.reason) == (RoundState.DEMONSTRATING, "go")
    round_.refresh_from_db()
    assert (round_.state, round_.reason) == (RoundState.DEMONSTRATING, "go")


def test_an_illegal_move_changes_nothing_and_names_both_states(round_):
    with pytest.raises(IllegalMove) as refused:
        move(round_, RoundState.PROMOTED, ROUND_MOVES, reason="no")
    assert refused.value.extra == {"from": "draft", "to": "promoted"}
    round_.refresh_from_db()
    assert (round_.state, round_.reason) == ("draft", "")


def test_of_two_who_read_the_same_state_only_one_moves_it(round_):
    second = Round.objects.get(pk=round_.pk)
    move(round_, RoundState.DEMONSTRATING, ROUND_MOVES)
    with pytest.raises(IllegalMove):
        move(second, RoundState.DEMONSTRATING, ROUND_MOVES)


def test_from_narrows_the_sources(round_):
    with pytest.raises(IllegalMove):
        move(round_, RoundState.CANCELLED, ROUND_MOVES, from_=RoundState.RANKING)
    move(round_, RoundState.CANCELLED, ROUND_MOVES, from_=[RoundState.DRAFT, RoundState.RANKING])


def test_a_change_that_the_database_computes_is_read_back(round_):
    move(
        round_,
        RoundState.CANCELLED,
        ROUND_MOVES,
        reason=Concat(F("state"), Value("!")),
        ended_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert round_.reason == "draft!"


def test_a_row_that_is_gone_cannot_move(round_):
    Round.objects.filter(pk=round_.pk).delete()
    with pytest.raises(IllegalMove, match="nowhere"):
        move(round_, RoundState.DEMONSTRATING, ROUND_MOVES)


def test_of_many_rows_those_move_that_may(round_, django_assert_num_queries):
    ended = Round.objects.create(
        project=round_.project, number=2, recipe={}, opponent=round_.opponent, state=RoundState.DROPPED
    )
    rows = Round.objects.filter(project=round_.project)
    with django_assert_num_queries(1):
        assert move_rows(rows, RoundState.CANCELLED, ROUND_MOVES, reason="enough") == 1
    assert dict(rows.values_list("pk", "state")) == {round_.pk: "cancelled", ended.pk: "dropped"}


def test_a_guard_of_the_query_stands(round_):
    others = Round.objects.filter(pk=round_.pk, state=RoundState.RANKING)
    assert move_rows(others, RoundState.CANCELLED, ROUND_MOVES) == 0


def test_a_state_that_nothing_leads_to_is_a_mistake_of_ours(round_):
    with pytest.raises(ValueError, match="no state leads to draft"):
        move_rows(Round.objects.all(), RoundState.DRAFT, ROUND_MOVES)
