"""A move from one state to another is one conditional UPDATE, so two callers can never both win."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import BaseExpression

from common.errors import DomainError


class IllegalMove(DomainError):
    """The row is not in a state from which it could go there, or somebody else moved it first."""

    code = "illegal_move"
    message = "This step is not possible from the present state. Reload to see where it stands."


def move(
    row: Model,
    to: str,
    moves: Mapping[Any, Collection[Any]],
    *,
    from_: str | Collection[str] | None = None,
    **changes: object,
) -> None:
    """Set `row.state = to` and the other `changes` if the stored state allows it, in one UPDATE.

    `moves` maps each state to the states it may become; `from_` narrows the sources further.
    The object in memory is brought up to date. Raises IllegalMove and changes nothing otherwise.
    """
    rows = type(row)._default_manager.filter(pk=row.pk)
    if from_ is not None:
        rows = rows.filter(state__in=[from_] if isinstance(from_, str) else list(from_))
    if not move_rows(rows, to, moves, **changes):
        now = type(row)._default_manager.filter(pk=row.pk).values_list("state", flat=True).first()
        raise IllegalMove(
            f"{row._meta.verbose_name} {row.pk} cannot go from {now or 'nowhere'} to {to}.",
            extra={"from": now, "to": str(to)},
        )
    _remember(row, to, changes)


def move_rows(rows: QuerySet[Any], to: str, moves: Mapping[Any, Collection[Any]], **changes: object) -> int:
    """Set `state = to` and the other `changes` on those of `rows` whose stored state allows it; how many.

    For writes that a filter guards (a fence, a lease) or that move many rows: one UPDATE, nothing is read back.
    Raises ValueError where no state leads to `to`.
    """
    sources = sorted(str(old) for old, targets in moves.items() if to in targets)
    if not sources:
        raise ValueError(f"no state leads to {to}")
    return rows.filter(state__in=sources).update(state=to, **changes)


def _remember(row: Model, to: str, changes: Mapping[str, object]) -> None:
    row.__dict__["state"] = to
    computed = [name for name, value in changes.items() if isinstance(value, BaseExpression)]
    for name, value in changes.items():
        if name not in computed:
            setattr(row, name, value)
    if computed:
        row.refresh_from_db(fields=computed)
