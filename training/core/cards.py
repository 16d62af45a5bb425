"""The model folder a run publishes: weights, tokenizer, a model card for people, lineage.json for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from inference.engine.folder import digest_folder
from training.core.machine import machine
from training.core.parallel import world
from training.core.run_folder import Run, publish_folder, sha256_of, write_json

_TITLES = {
    "pretrain": "A language model trained from raw text",
    "sft": "A language model fine-tuned on demonstrations",
    "reward": "A reward model trained on rankings",
    "ppo": "A policy trained with PPO against a reward model",
    "dpo": "A policy trained with DPO on rankings",
    "rloo": "A policy trained with RLOO against a reward model",
}


def versions() -> dict[str, str]:
    """What computed the result: bit-for-bit repetition holds where all of it is the same."""
    return {**machine(torch.get_num_threads()), "processes": str(world.size)}


def publish_model(
    run: Run,
    name: str,
    save: Callable[[Path], None],
    metrics: Mapping[str, float],
    dropped: Mapping[str, int],
    report: Mapping[str, Any] | None = None,
    *,
    role: str = "model",
) -> None:
    """Write weights, card and lineage to <run>/<name>, which appears whole or not at all. Of several ranks the first does it.

    report: more than numbers, of a reward model (reward_report.py); it travels in lineage.json, and in short in the card.
    role: tells apart what one run publishes: `ema` and `policy`.
    """
    if not world.is_first:
        return
    parents, sha256 = inputs_of(run)
    lineage = {
        "kind": run.kind, "role": role, "run": run.run, "attempt": run.attempt, "seed": run.seed, "config": run.config.to_json(),
        "parents": parents, "sha256": sha256, "metrics": dict(metrics), "dropped": dict(dropped),
        **({"data": dict(run.data)} if run.data else {}), "versions": versions(), **({"report": _leaving(report)} if report else {}),
    }  # fmt: skip

    def write(folder: Path) -> None:
        save(folder)
        (folder / "README.md").write_text(_card(run, parents, metrics, dropped, report), encoding="utf-8")
        write_json(folder / "lineage.json", lineage)

    publish_folder(run.folder / name, write)


def inputs_of(run: Run) -> tuple[dict[str, str], dict[str, str]]:
    """What the model was made from: (models by role, SHA-256 of data files by path). A run that names neither, as one
    written by hand may, gets the digests of the folders that it read: no model comes from nowhere."""
    models = [name for name, path in sorted(run.inputs.items()) if (path / "config.json").is_file()]
    parents = dict(run.parents) or {name: digest_folder(run.inputs[name])[0] for name in models}
    data = [run.inputs[name] for name in sorted(run.inputs) if name not in models]
    files = [file for folder in data for file in sorted(folder.rglob("*")) if file.is_file()]
    return parents, dict(run.sha256) or {f.relative_to(run.folder).as_posix(): sha256_of(f) for f in files}


def _card(
    run: Run,
    parents: Mapping[str, str],
    metrics: Mapping[str, float],
    dropped: Mapping[str, int],
    report: Mapping[str, Any] | None,
) -> str:
    """The card names versions and numbers only; texts of people and models do not get in."""
    made_from = [f"- {role}: `{parent}`" for role, parent in sorted(parents.items())] or ["- none"]
    numbers = [f"| {name} | {value:.6g} |" for name, value in sorted(metrics.items())]
    left_out = [f"- {reason}: {count}" for reason, count in sorted(dropped.items()) if count]
    left_out = left_out + _before(run.data) or ["- nothing"]
    return "\n".join([
        "---", "library_name: transformers", f"tags: [preceptor, {run.kind}]", "---", "",
        f"# {_TITLES[run.kind]}", "",
        f"Made by Preceptor, run `{run.run}`, seed {run.seed}. `lineage.json` beside this card names every input by its hash.", "",
        "## Made from", "", *made_from, "",
        "## Measured", "", "| what | value |", "| --- | --- |", *numbers, "", *_reliability(report),
        "## Left out of the data", "", *left_out, "",
        "## Settings", "", "```json", json.dumps(run.config.to_json(), indent=1, sort_keys=True), "```", "",
        "## Limits", "",
        "It says what its data made likely, true or not. Judge it on your own prompts before you rely on it.", "",
    ])  # fmt: skip


def _before(data: Mapping[str, Any]) -> list[str]:
    """What never reached the trainer: of the answers, and of the project's prompts."""
    told = {
        f"{what} ({reason})": count
        for of_input in data.values()
        for key, what in (("left_out", "answers or prompts"), ("prompts_left_out", "prompts of the project"))
        for reason, count in of_input["counts"].get(key, {}).items()
        if count
    }
    return [f"- {what}: {count}" for what, count in sorted(told.items())]


def _leaving(report: Mapping[str, Any]) -> dict[str, Any]:
    """A version may leave the server: how well it foretells single labelers stays in the run's report.json."""
    return {name: value for name, value in report.items() if name != "by_labeler"}


def _reliability(report: Mapping[str, Any] | None) -> list[str]:
    """Does it know how sure to be: stated probability beside the share that was right."""
    if not report or not report["reliability"]:
        return []
    rows = [f"| {one['stated']:.3f} | {one['right']:.3f} | {one['count']} |" for one in report["reliability"]]
    return [
        "## Reliability on validation pairs",
        "",
        "| stated | right | pairs |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]


def result(
    kind: str, steps: int, metrics: Mapping[str, Any], dropped: Mapping[str, int], seconds: float, **more: Any
) -> dict[str, Any]:
    """What result.json holds."""
    return {
        "kind": kind, "steps": steps, "model": "model", "metrics": dict(metrics), "dropped": dict(dropped),
        "seconds": round(seconds, 3), "versions": versions(), **more,
    }  # fmt: skip
