"""Makes the folder of one attempt: run.json, hash-checked inputs, the checkpoint to go on from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from common.storage import StorageError, default_store
from inference.models import ModelVersion
from inference.selectors import completions_of
from training import datasets
from training.core.machine import machine
from training.core.run_folder import clear_temporaries, sha256_of, write_json
from training.models import ROLLOUT_RUNS, Run, RunKind, Snapshot
from training.places import attempt_folder
from training.runner.checkpoints import take_checkpoint
from training.runner.follow import parsed_row
from training.runner.spread import processes, threads

FILES = ("train.jsonl", "valid.jsonl")  # what is held out is never given to a trainer


class InputMissing(Exception):
    """An input of the run is not there or not what its hash says."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code, self.message, self.remedy = code, message, remedy


@dataclass
class AttemptFolder:
    """A folder that is ready to be trained in."""

    path: Path
    resumed_from: str = ""
    resumed_step: int = 0
    known_checkpoint: str = ""

    @property
    def run_json(self) -> Path:
        """What the child is called with."""
        return self.path / "run.json"


def prepare(run: Run, fence: int) -> AttemptFolder:
    """Write everything the child needs. Raises InputMissing."""
    path = attempt_folder(run.pk, fence)
    shutil.rmtree(path, ignore_errors=True)
    inputs = path / "inputs"
    inputs.mkdir(parents=True)
    hashes: dict[str, str] = {}
    for role, version in run.sources.items():
        hashes |= _link_version(version, inputs / role)
    hashes |= _write_dataset(run, inputs / "dataset")
    if run.demonstrations is not None:
        # Reward models put their zero at demonstrations; policies must not forget them.
        folder = inputs / ("pretraining" if run.kind in ROLLOUT_RUNS else "demonstrations")
        hashes |= _write_rows(folder, _lines_of(run.demonstrations), datasets.sft_row)
    if run.heldout_labelers is not None:
        lines = {"valid.jsonl": _lines_of(run.heldout_labelers)["valid.jsonl"]}
        hashes |= _write_rows(inputs / "heldout_labelers", lines, _to_reward_row(run))
    ready = AttemptFolder(path)
    resume(ready, run.checkpoint)
    count = processes(run.kind)
    write_json(
        ready.run_json,
        {
            "schema": 1,
            "kind": run.kind,
            "run": str(run.pk),
            "attempt": fence,
            "seed": run.seed,
            "config": run.config,
            "device": "auto",
            "inputs": {
                folder.name: f"inputs/{folder.name}"
                for folder in sorted(inputs.iterdir())
                if folder.name != "checkpoint"
            },
            "sha256": hashes,
            "parents": {role: str(version.pk) for role, version in run.sources.items()},
            "data": _data(run),
            "versions": {**machine(threads(count)), "processes": str(count)},
            "resume_from": f"step-{ready.resumed_step}" if ready.resumed_from else None,
        },
    )
    return ready


def _data(run: Run) -> dict[str, Any]:
    """What the snapshots hold and what was left out of them: it goes into the lineage of what the run publishes."""
    snapshots = {"dataset": run.snapshot, "demonstrations": run.demonstrations}
    return {
        name: {"snapshot": one.content_sha256, "counts": one.counts} for name, one in snapshots.items() if one
    }


def _link_version(version: ModelVersion, target: Path) -> dict[str, str]:
    """A link to the stored folder, every byte of which was read and checked just now."""
    store = default_store()
    try:
        files = store.verify(version.digest)
        target.symlink_to(store.open(version.digest), target_is_directory=True)
    except (StorageError, OSError) as error:
        message = f"The weights of {version.name} are not what was registered: {error}"
        raise InputMissing(
            "input_changed", message, "Restore the store from a backup, then retry."
        ) from error
    return {f"inputs/{target.name}/{name}": entry["sha256"] for name, entry in files.items()}


def _write_dataset(run: Run, folder: Path) -> dict[str, str]:
    """The trainer's rows: pure functions of the snapshot's canonical lines, or of the completions to be scored."""
    if run.kind == RunKind.SCORE:
        return _write_scored(run, folder)
    if run.snapshot is None:
        raise InputMissing("input_missing", "The run has no snapshot to learn from.", "Launch a new run.")
    lines = _lines_of(run.snapshot)
    if run.kind == RunKind.SFT:
        return _write_rows(folder, lines, datasets.sft_row)
    if run.kind in ROLLOUT_RUNS:
        return _write_rows(folder, lines, datasets.ppo_row)
    return _write_rows(folder, lines, _to_reward_row(run))


def _to_reward_row(run: Run) -> Callable[[datasets.Record], datasets.Row]:
    """With the sampled token ids of versions whose ids mean the same to the model that is being trained."""
    same = ModelVersion.objects.filter(project=run.project, tokenizer_digest=run.model.tokenizer_digest)
    readers = {str(pk) for pk in same.exclude(tokenizer_digest="").values_list("pk", flat=True)}
    return partial(datasets.reward_row, same_tokenizer=readers)


def _lines_of(snapshot: Snapshot) -> dict[str, Iterator[dict[str, Any]]]:
    store = default_store()
    try:
        store.verify(snapshot.digest)
        folder = store.open(snapshot.digest)
    except (StorageError, OSError) as error:
        message = f"The snapshot {snapshot.pk} is not what was frozen: {error}"
        raise InputMissing(
            "input_changed", message, "Restore the store from a backup, then retry."
        ) from error
    return {name: datasets.read_lines(folder / name) for name in FILES}


def _write_rows(folder: Path, lines: Mapping[str, Iterable[dict[str, Any]]], to_row: Any) -> dict[str, str]:
    folder.mkdir()
    hashes = {}
    for name, records in lines.items():
        with (folder / name).open("wb") as file:
            for record in records:
                file.write(orjson.dumps(to_row(record)) + b"\n")
        hashes[f"inputs/{folder.name}/{name}"] = sha256_of(folder / name)
    return hashes


def _write_scored(run: Run, folder: Path) -> dict[str, str]:
    """What candidate and current policy wrote for the same prompts."""
    round_ = run.round
    if round_ is None or round_.candidate_job is None or round_.opponent_job is None:
        raise InputMissing("input_missing", "There are no completions to be scored.", "Sample them first.")
    jobs = (round_.candidate_job, round_.opponent_job)
    rows = {
        "train.jsonl": (datasets.score_row(one) for job in jobs for one in completions_of(job).iterator(500))
    }
    return _write_rows(folder, rows, dict)


def resume(ready: AttemptFolder, named: str) -> None:
    """Link the checkpoint that the row names, or the newest whole one, and bring the rows up to it along.

    What earlier attempts were writing when they died goes away.
    """
    for earlier in ready.path.parent.glob("attempt-*"):
        clear_temporaries(earlier)
    found = take_checkpoint(ready.path.parent, named, ready.path / "inputs" / "checkpoint")
    if found is None:
        return
    for name in ("metrics.jsonl", "samples.jsonl"):
        _copy_rows(found.path.parent / name, ready.path / name, last_step=found.step)
    ready.resumed_from, ready.resumed_step = found.label, found.step


def _copy_rows(source: Path, target: Path, *, last_step: int) -> None:
    """Whole lines of steps up to the checkpoint; whoever follows the new file must never meet a row that is made again."""
    if not source.is_file():
        return
    with source.open("rb") as reader, target.open("wb") as writer:
        for line in reader:
            row = parsed_row(line)
            if row is not None and row["step"] <= last_step:
                writer.write(line)
