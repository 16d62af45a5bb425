"""Typed settings that check themselves: type, range and choices of every field, and no unknown names.

A field is written once, `lr: float = setting(1e-3, "Peak learning rate.", low=0, high=1, source="IG C.1")`; the check, the JSON reader
and the launch form all read that one line. No torch here: web pages validate with it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_type_hints


def setting(
    default: Any,
    help: str,
    *,
    source: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with its explanation, unit, inclusive range or choices, and where its default comes from.

    `source` is a list parted by "; ": places in the literature, each with its value where that is another one, and `ours`
    with the reason in a few words where we chose. training/core/presets.py has the abbreviations.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "unit": unit,
            "low": low,
            "high": high,
            "choices": choices,
            "source": source,
        },
    )


def _kinds(cls: type[Settings]) -> dict[str, tuple[type, bool]]:
    """Name of each field -> (its plain type, whether null is allowed)."""
    found: dict[str, tuple[type, bool]] = {}
    for name, hint in get_type_hints(cls).items():
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        found[name] = (next(o for o in options if o is not NoneType), NoneType in options)
    return found


def _range(meta: Mapping[str, Any]) -> str:
    if meta["choices"]:
        return "one of " + ", ".join(meta["choices"])
    low, high = meta["low"], meta["high"]
    return f"from {low if low is not None else '-inf'} to {high if high is not None else 'inf'}"


NAMES: dict[type, str] = defaultdict(
    lambda: "an object or a list",
    {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"},
)


def _fault(value: Any, kind: type, meta: Mapping[str, Any]) -> str | None:
    """What is wrong with a value that is not null, or None."""
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    # bool is an int to Python, but "steps: true" is a mistake and not one step.
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        return f"must be {NAMES[kind]}, not {NAMES[type(value)]}"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    low, high, choices = meta["low"], meta["high"], meta["choices"]
    too_low, too_high = low is not None and value < low, high is not None and value > high
    if too_low or too_high or (choices and value not in choices):
        return f"is {value!r}, which is not allowed"
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Base of all configs. Making one with a wrong value raises ValueError naming the field, the range and the remedy."""

    def __post_init__(self) -> None:
        kinds = _kinds(type(self))
        for one in fields(self):
            value = getattr(self, one.name)
            kind, nullable = kinds[one.name]
            if value is None and nullable:
                continue
            if fault := _fault(value, kind, one.metadata):
                hint = f"choose a value {_range(one.metadata)}" if kind is not bool else "use true or false"
                raise ValueError(f"{one.name} {fault}. Remedy: {hint}{' or null' if nullable else ''}.")
        self.check()

    def check(self) -> None:
        """Rules between fields; subclasses override it and raise ValueError."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """A config from parsed JSON; ValueError on unknown names, wrong types and values out of range."""
        if not isinstance(data, Mapping):
            raise ValueError(f"config must be an object of settings, not {type(data).__name__}")
        kinds = _kinds(cls)
        if unknown := sorted(set(data) - set(kinds)):
            raise ValueError(f"unknown settings {unknown}. Remedy: remove them; known are {sorted(kinds)}.")
        # JSON writes 1.0 as 1 at will, so whole numbers are taken where a float is meant.
        return cls(**{k: float(v) if kinds[k][0] is float and type(v) is int else v for k, v in data.items()})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """One row a field for a form: name, type, nullable, default, min, max, choices, unit, help, source."""
        return [_described(one, *_kinds(cls)[one.name]) for one in fields(cls)]


def _described(one: Field[Any], kind: type, nullable: bool) -> dict[str, Any]:  # noqa: FBT001 - from one table
    meta = one.metadata
    choices = list(meta["choices"]) if meta["choices"] else None
    row = {"name": one.name, "type": kind.__name__, "nullable": nullable, "default": one.default}
    return {
        **row,
        "min": meta["low"],
        "max": meta["high"],
        "choices": choices,
        "unit": meta["unit"],
        "help": meta["help"],
        "source": meta["source"],
    }
