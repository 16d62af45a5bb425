"""The folder of one run: what it was asked (run.json), what it may read (inputs/), and how it ends. No torch here.

Everything that ends a run (result.json, error.json, model/) appears whole by a rename, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from training.core.config import KINDS, Settings, config_from_json
from training.core.errors import RunError, RunInterrupted

SCHEMA = 1
PUBLISHED = ("model", "policy_last", "best", "scores.jsonl")
"""What a result vouches for."""
DEVICES = ("auto", "cpu", "cuda")
_TYPES: dict[str, type] = {"kind": str, "run": str, "attempt": int, "seed": int, "config": dict, "device": str,
                           "inputs": dict, "sha256": dict, "parents": dict, "data": dict, "versions": dict}  # fmt: skip
_DEFAULTS: dict[str, Any] = {"run": "by-hand", "attempt": 1, "seed": 0, "config": {}, "device": "auto", "inputs": {},
                             "sha256": {}, "parents": {}, "data": {}, "versions": {}, "resume_from": None}  # fmt: skip


class StopFlag:
    """Set by a signal handler, read by the loop between steps."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def install(self) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._set)

    def _set(self, signum: int, _frame: object) -> None:
        if self.signum is not None:
            os._exit(128 + signum)  # Asked twice: leave without a checkpoint.
        self.signum = signum

    def obey(self) -> None:
        """Raise RunInterrupted if a signal came. Called only where nothing would be lost."""
        if self.signum is not None:
            raise RunInterrupted(self.signum)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A checked run.json. Paths in `inputs` are absolute and known to exist; `notes` end up in result.json."""

    folder: Path
    kind: str
    run: str
    attempt: int
    seed: int
    device: str
    config: Settings
    inputs: Mapping[str, Path]
    sha256: Mapping[str, str]
    parents: Mapping[str, str]
    resume_from: Path | None
    data: Mapping[str, Any] = field(default_factory=dict)
    stop: StopFlag = field(default_factory=StopFlag)
    notes: dict[str, Any] = field(default_factory=dict)

    def input(self, name: str) -> Path:
        if name not in self.inputs:
            raise RunError(
                "bad_run",
                f"run.json names no input {name!r}, which {self.kind} needs.",
                f"Add inputs.{name}.",
            )
        return self.inputs[name]


def read_run(path: Path, kind: str | None = None, stop: StopFlag | None = None) -> Run:
    """Read and check run.json, its config and the hashes of its inputs. Raises RunError before anything is loaded."""
    folder = path.resolve().parent
    data = {**_DEFAULTS, **_parse(path)}
    _check_shape(data)
    if kind is not None and data["kind"] != kind:
        raise RunError(
            "bad_run", f"run.json is of kind {data['kind']!r}, not {kind!r}.", "Call the kind it names."
        )
    try:
        config = config_from_json(data["kind"], data["config"])
    except ValueError as wrong:
        raise RunError("bad_config", f"config: {wrong}", "Correct the settings in run.json.") from wrong
    inputs = {name: _inside(folder, value, f"inputs.{name}") for name, value in data["inputs"].items()}
    for relative, expected in data["sha256"].items():
        _check_hash(_inside(folder, relative, "sha256"), relative, expected)
    return Run(
        folder=folder, kind=data["kind"], run=data["run"], attempt=data["attempt"], seed=data["seed"], config=config,
        device=data["device"], inputs=inputs, sha256=data["sha256"], parents=data["parents"], data=data["data"],
        resume_from=_checkpoint(folder, data["resume_from"]), stop=stop or StopFlag(),
    )  # fmt: skip


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise RunError(
            "bad_run", f"{path.name} cannot be read as JSON: {wrong}", "Write run.json anew."
        ) from wrong
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise RunError(
            "bad_run", f"{path.name} is not an object with schema {SCHEMA}.", "Write it for this version."
        )
    if unknown := sorted(set(data) - set(_DEFAULTS) - {"schema", "kind"}):
        raise RunError("bad_run", f"{path.name} has unknown fields {unknown}.", "Remove them.")
    return data


def _check_shape(data: Mapping[str, Any]) -> None:
    for name, kind in _TYPES.items():
        if type(data.get(name)) is not kind:
            raise RunError("bad_run", f"run.json: {name} must be {kind.__name__}.", f"Correct {name}.")
    if data["kind"] not in KINDS:
        raise RunError(
            "bad_run", f"run.json: kind {data['kind']!r} is unknown.", f"Use one of {', '.join(KINDS)}."
        )
    if data["device"] not in DEVICES:
        raise RunError(
            "bad_run", f"run.json: device {data['device']!r} is unknown.", f"Use one of {', '.join(DEVICES)}."
        )
    if not 0 <= data["seed"] < 2**63:
        raise RunError("bad_run", "run.json: seed must be from 0 to 2**63 - 1.", "Choose another seed.")


def _inside(folder: Path, relative: object, where: str) -> Path:
    """A path below the run folder that exists. The links in inputs/ may lead out of it; the written path may not."""
    if (
        not isinstance(relative, str)
        or PurePosixPath(relative).is_absolute()
        or ".." in PurePosixPath(relative).parts
    ):
        raise RunError(
            "bad_run",
            f"run.json: {where} has the path {relative!r}, which leaves the run folder.",
            "Use relative paths.",
        )
    path = folder / relative
    if not path.exists():
        raise RunError(
            "input_missing",
            f"{relative} does not exist in the run folder.",
            "Put the input there and start again.",
        )
    return path


def _checkpoint(folder: Path, name: object) -> Path | None:
    """Where the checkpoint to go on from lies: in the attempt folder, or where the supervisor linked it."""
    if name is None:
        return None
    for place in (f"{name}", "inputs/checkpoint", f"inputs/checkpoint/{name}"):
        if ".." not in PurePosixPath(place).parts and (folder / place / "MANIFEST.json").is_file():
            return folder / place
    raise RunError(
        "input_missing",
        f"the checkpoint {name!r} to resume from is not there.",
        "Copy it, or set resume_from to null.",
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_fault(folder: Path) -> str | None:
    """What is wrong with a folder that has a MANIFEST.json, in a few words; None where every byte is as it says."""
    try:
        files = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
        for name, entry in files.items():
            path = folder / Path(name).name
            if path.stat().st_size != entry["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {entry['size']}"
            if sha256_of(path) != entry["sha256"]:
                return f"{name} is not what its SHA-256 says"
    except FileNotFoundError as missing:
        return f"{Path(missing.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as wrong:
        return f"MANIFEST.json or a file it names cannot be read: {wrong}"
    return None if files else "MANIFEST.json names no file"


def _check_hash(path: Path, relative: str, expected: object) -> None:
    if not path.is_file():
        raise RunError("input_missing", f"{relative} is not a file.", "List files, not folders, in sha256.")
    if sha256_of(path) != expected:
        raise RunError(
            "input_changed",
            f"{relative} is not the file that the run was made for.",
            "Restore it or make a new run.",
        )


# --- writing, so that a file is whole or absent ---------------------------------------------------------------------


def fsync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, data: object) -> None:
    """Write through a temporary file, fsync and rename, so a reader sees the whole file or none."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync_path(path.parent)


def write_json_once(path: Path, data: object, writer: int) -> None:
    """Write a file that several processes may want to write: the first one's stays."""
    own = path.with_name(f"{path.stem}.{writer}{path.suffix}")
    write_json(own, data)
    with suppress(FileExistsError):
        os.link(own, path)
    own.unlink()


def publish_folder(final: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary folder, fsync all of it, and rename it to `final`, which must be a new name."""
    temporary = final.with_name(final.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    write(temporary)
    for path in sorted(temporary.rglob("*"), reverse=True):
        fsync_path(path)
    fsync_path(temporary)
    temporary.rename(final)
    fsync_path(final.parent)


def clear_outcome(folder: Path) -> None:
    """Take away how an earlier try in this folder ended; its checkpoints and metrics stay."""
    (folder / "result.json").unlink(missing_ok=True)
    clear_errors(folder)
    clear_unfinished(folder)


def clear_errors(folder: Path) -> None:
    """Take away why an earlier try failed."""
    for path in folder.glob("error*.json"):
        path.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Take away what no result vouches for: models and the like, and what was being written when the process died or gave up."""
    for name in PUBLISHED:
        _remove(folder / name)
    clear_temporaries(folder)


def clear_temporaries(folder: Path) -> None:
    """Take away what was being written when the process died; half a checkpoint is as large as a whole one."""
    for path in folder.glob("*.tmp"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def leave_with_parent(variable: str = "PRECEPTOR_HELD_FD") -> None:
    """Kill this process group when the pipe named by the variable closes, that is when the supervisor is gone.

    The ranks of a launcher, which hands no pipe on, go when it is gone.
    """
    descriptor, parent = os.environ.get(variable), os.getppid()
    if descriptor is None and "TORCHELASTIC_RUN_ID" not in os.environ:
        return

    def watch() -> None:
        if descriptor is not None:
            while os.read(int(descriptor), 1):
                pass
        else:
            while os.getppid() == parent:
                time.sleep(1.0)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(137)

    threading.Thread(target=watch, name="held-pipe", daemon=True).start()
