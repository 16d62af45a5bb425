"""What the core's tests share: one thread, so that numbers repeat on any machine, and models made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.core.forks import Forks
from tests.training.core.rundirs import demonstrations, make_model, make_run, rankings
from tests.training.core.stages import LOOKS, STAGES
from training.core.__main__ import main
from training.core.config import PRESETS
from training.core.run_folder import PUBLISHED

Error = Callable[..., dict[str, str]]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    """main() takes over SIGINT and SIGTERM; a test run wants its own back."""
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random small language model."""
    return make_model(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="session")
def reward_model(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model that was trained for a moment."""
    folder = tmp_path_factory.mktemp("reward")
    run_it(
        folder,
        "reward",
        {"lr": 1e-3},
        data={"train": rankings(16)},
        inputs={"model": base, "demonstrations": write_demos(folder)},
    )
    return folder / "model"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """`forks.run("sft", run_json)` is `python -m training.core sft run.json` in a process of its own."""
    server = Forks()
    yield server
    server.close()


@pytest.fixture
def error_of(forks: Forks) -> Error:
    """`error_of(folder, kind, config, data=..., inputs=...)` runs and returns error.json."""

    def run(folder: Path, kind: str, config: dict[str, Any] | None = None, **options: Any) -> dict[str, str]:
        path = make_run(folder, kind, PRESETS["test"][kind] if config is None else config, **options)
        return told(folder, forks.run(kind, path))

    return run


@pytest.fixture(scope="session")
def models(base: Path, reward_model: Path) -> dict[str, Path]:
    return {"model": base, "reward": reward_model, "judge": reward_model}


@pytest.fixture(scope="session")
def alone(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a stage that nobody disturbs, with a checkpoint of every step. In this process: another than the others'."""
    done: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("alone")
            path = STAGES[name].write(folder, models, {**LOOKS, "save_every": 1, "keep_checkpoints": 100})
            assert main([STAGES[name].kind, str(path)]) == 0
            done[name] = folder
        return done[name]

    return run


def write_demos(folder: Path) -> Path:
    from tests.training.core.rundirs import write_rows

    write_rows(folder / "demos" / "train.jsonl", demonstrations(12))
    return folder / "demos"


def run_it(folder: Path, kind: str, config: dict[str, Any], **options: Any) -> Path:
    """Run a stage in this process and insist that it ends well."""
    assert main([kind, str(make_run(folder, kind, config, **options))]) == 0
    return folder


def told(folder: Path, code: int) -> dict[str, str]:
    """error.json of a run that ended; insists on exit code 1, a whole story, and on nothing published or half-written."""
    assert code == 1, (folder / "log.txt").read_text(encoding="utf-8")[-2000:]
    assert not (folder / "result.json").exists()
    assert not [path.name for path in folder.iterdir() if path.name in PUBLISHED or path.suffix == ".tmp"]
    error: dict[str, str] = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    assert set(error) == {"code", "message", "remedy"}
    assert all(error.values())
    return error
