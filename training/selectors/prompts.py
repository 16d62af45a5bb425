"""Which prompts a round uses. The choice hangs on the round and the prompts alone, so making it twice is harmless."""

from __future__ import annotations

from math import ceil
from typing import Any
from uuid import UUID

from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import MD5, Cast, Concat

from labeling.models import Demonstration, Prompt, Split, TaskKind
from labeling.selectors import may_be_learned
from training.models import Round

# Of the prompts that are answered or ranked, so that loss and accuracy are measured on prompts nobody learned from.
VALID_SHARE = 0.1


def prompts_for_demonstrations(round_: Round, count: int) -> list[UUID]:
    """Prompts to be answered by people: those without a demonstration first, never held-out ones."""
    answered = Demonstration.objects.filter(task__prompt=OuterRef("pk"), is_latest=True)
    usable = _shuffled(round_, _trainable(round_)).annotate(answered=Exists(answered))
    return [prompt.pk for prompt in _mostly_to_train_on(usable.order_by("answered", "place"), count)]


def prompts_for_sampling(round_: Round, count: int) -> list[Prompt]:
    """Prompts to be sampled and ranked: the least often ranked first, some of the validation split among them."""
    ranked = Count("tasks", filter=Q(tasks__kind=TaskKind.RANKING))
    usable = _shuffled(round_, _trainable(round_)).annotate(ranked=ranked)
    return _mostly_to_train_on(usable.order_by("ranked", "place"), count)


def prompts_for_evaluation(round_: Round, count: int) -> list[Prompt]:
    """Prompts on which candidate and current policy are compared: never from the training split, held-out first."""
    usable = Prompt.objects.filter(project=round_.project, split__in=(Split.HELDOUT, Split.VALID))
    # "heldout" < "valid", so the order of the names is the order that is wanted.
    return list(_shuffled(round_, usable).order_by("split", "place")[:count])


def _mostly_to_train_on(ordered: QuerySet[Any], count: int) -> list[Prompt]:
    """The first `count` prompts, a tenth from the validation split; never all of them where there are others."""
    n_valid = ordered.filter(split=Split.VALID).count()
    n_train = ordered.filter(split=Split.TRAIN).count()
    share = min(ceil(count * VALID_SHARE), count - 1)
    wanted_valid = max(min(n_valid, max(share, count - n_train)), 0)
    train = list(ordered.filter(split=Split.TRAIN)[: max(count - wanted_valid, 0)])
    return train + list(ordered.filter(split=Split.VALID)[:wanted_valid])


def _trainable(round_: Round) -> QuerySet[Prompt]:
    return Prompt.objects.filter(
        may_be_learned(), project=round_.project, split__in=(Split.TRAIN, Split.VALID)
    )


def _shuffled(round_: Round, prompts: QuerySet[Prompt]) -> QuerySet[Any]:
    """With `place`: a hash of round and prompt, so that every round has an order of its own."""
    return prompts.annotate(
        place=MD5(Concat(Value(str(round_.pk)), Cast(F("digest"), CharField()), output_field=CharField()))
    )
