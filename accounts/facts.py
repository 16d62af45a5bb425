"""What apps above know about rows of apps below, without an import that points upward.

A project's page shows how many rankings it has, and a version's page which run made it; both are tables of higher
apps. Those apps say in `AppConfig.ready()` how to find such facts for many rows with one query:

    contribute("project", "prompts", count_prompts)        # ids -> {id: 12}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

Find = Callable[[Collection[UUID]], Mapping[UUID, Any]]

_CONTRIBUTED: dict[str, dict[str, Find]] = {}


def contribute(about: str, name: str, find: Find) -> None:
    """Register how to find fact `name` about rows of a kind ("project", "version"); again replaces."""
    _CONTRIBUTED.setdefault(about, {})[name] = find


def facts(about: str, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """All contributed facts of these rows: {id: {name: value}}, one query for each name; unknown is absent."""
    found: dict[UUID, dict[str, Any]] = {one: {} for one in ids}
    if not found:
        return found
    for name, find in _CONTRIBUTED.get(about, {}).items():
        for one, value in find(ids).items():
            found[one][name] = value
    return found
