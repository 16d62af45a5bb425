"""Which prompts a round asks about."""

import pytest

from labeling.models import Prompt
from tests.training.factories import prompts
from training.selectors.prompts import prompts_for_demonstrations, prompts_for_sampling
from training.services.rounds import open_round

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def round_(project, base, eva):
    prompts(project, train=3, valid=40, heldout=5)
    return open_round(project=project, recipe={}, actor=eva)


def splits(found):
    keys = [getattr(one, "pk", one) for one in found]
    return sorted(Prompt.objects.filter(pk__in=keys).values_list("split", flat=True))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_small_quota_always_has_something_to_learn_from(round_, count):
    for found in (prompts_for_demonstrations(round_, count), prompts_for_sampling(round_, count)):
        assert len(found) == count
        assert "train" in splits(found)


def test_more_than_there_are_to_train_on_come_from_validation_and_none_is_held_out(round_):
    assert splits(prompts_for_demonstrations(round_, 10)) == ["train"] * 3 + ["valid"] * 7
    assert "heldout" not in splits(prompts_for_demonstrations(round_, 1000))
