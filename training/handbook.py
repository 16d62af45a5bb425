"""docs/run/training-settings.md from the settings themselves: `python -m training.handbook` prints it, `make schema` writes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from training.core.config import CONFIGS, FIELDS
from training.core.glossary import TITLES
from training.core.presets import OFFERED, SOURCED
from training.recipe import Recipe

INTRODUCTION = f"""\
# Settings of rounds and runs

Written by `make schema` from `training/recipe.py`, `training/core/config/` and `training/core/presets.py`: change those. A source
names papers by their arXiv number and section, with their value where our default is another one; `ours` stands before what we chose
and why.

The launch form shows the same for the stages that a round trains, and offers the presets {" and ".join(f"`{name}`" for name in OFFERED)}. Rounds
refuse `instructgpt-rl-start` and `instructgpt-ptx`: they mix text in that a project does not have
([ADR 0017](../decisions/0017-text-has-its-share-of-the-learned-tokens.md)). They are for `python -m training.core`, and are as
`instructgpt` where nothing is shown of them.

`IG` is InstructGPT (2203.02155, version 1). `N+` is "The N+ implementation details of RLHF with PPO" (2403.17031). `LHP` is the code of
"Fine-tuning language models from human preferences" (openai/lm-human-preferences).
"""
STAGES = {kind: TITLES["bon" if kind == "best_of_n" else kind] for kind in CONFIGS}


def page() -> str:
    """The page, in Markdown: the recipe, then each stage's settings and what its presets make of them."""
    parts = [INTRODUCTION, "\n## A round\n\n", _fields(Recipe.describe())]
    for kind, title in STAGES.items():
        parts += [f"\n## {title} (`{kind}`)\n\n", _fields(FIELDS[kind])]
        parts += [_preset(name, presets[kind]) for name, presets in SOURCED.items() if _is_news(name, kind)]
    return "".join(parts)


def _is_news(name: str, kind: str) -> bool:
    """A preset that begins with another's name differs from it in some stages; only those are shown."""
    mine = SOURCED[name].get(kind)
    return mine is not None and all(
        mine is not SOURCED[other].get(kind) for other in SOURCED if other != name and name.startswith(other)
    )


def _fields(rows: list[dict[str, Any]]) -> str:
    lines = [
        (f"`{row['name']}`", _shown(row["default"]), _range(row), row["unit"], row["help"], row["source"])
        for row in rows
    ]
    return _table(("setting", "default", "range", "unit", "meaning", "source"), lines)


def _preset(name: str, settings: dict[str, tuple[Any, str]]) -> str:
    lines = [(f"`{setting}`", _shown(value), source) for setting, (value, source) in settings.items()]
    return f"\nPreset `{name}`:\n\n" + _table(("setting", "value", "source"), lines)


def _range(row: dict[str, Any]) -> str:
    if row["choices"]:
        return ", ".join(row["choices"])
    if row["max"] is None:
        return ""
    low = "above 0" if row["min"] is None else f"{row['min']:g}"
    return f"{low} to {row['max']:g}" + (" or null" if row["nullable"] else "")


def _shown(value: Any) -> str:
    """As JSON and the launch form write it."""
    return value if isinstance(value, str) else json.dumps(value)


def _table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    rows = (head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in line) for line in lines))
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(page())
