"""docs/run/metrics.md from the table of metrics: `python -m training.core.glossary` prints it, `make schema` writes it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from training.core.metrics import METRICS, Metric

INTRODUCTION = """\
# What the numbers of a run mean

Written by `make schema` from `training/core/metrics.py`: change that. A run writes one line of `metrics.jsonl` a step; its
page draws the same numbers and explains them in the same words. Not every row has every number: some are measured now and
then, some exist only with a certain setting.
"""
TITLES = {
    "": "Any run",
    "perf": "Any run: time, memory and how well the device is used",
    "pretrain": "Pretraining",
    "sft": "Supervised fine-tuning",
    "reward": "Reward model",
    "ppo": "PPO",
    "rloo": "RLOO",
    "dpo": "DPO",
    "bon": "Best-of-n",
    "score": "Scoring answers",
}


def page(metrics: Mapping[str, Metric] = METRICS) -> str:
    """The page, in Markdown: one table for each group of numbers, in the table's order."""
    groups: dict[str, list[str]] = {}
    for name, one in metrics.items():
        group = name.split("/")[0] if "/" in name else ""
        cells = (f"`{name}`", one.unit, one.meaning, one.healthy)
        groups.setdefault(group, []).append(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        )
    tables = [
        f"\n## {TITLES[group]}\n\n| number | unit | meaning | healthy |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n"
        for group, rows in groups.items()
    ]
    return INTRODUCTION + "".join(tables)


if __name__ == "__main__":
    sys.stdout.write(page())
