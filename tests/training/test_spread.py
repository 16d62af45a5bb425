"""How many processes a run is spread over, and what the child is then."""

from pathlib import Path

import pytest

from training.runner import spread
from training.runner.child import command, environment


def test_one_process_where_no_gpu_is_seen(settings, monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(spread, "DEVICE_FILES", tmp_path)
    assert spread.processes("sft") == 1
    assert command("sft", Path("run.json"))[1:] == ["-m", "training.core", "sft", "run.json"]


@pytest.mark.parametrize(
    ("named", "count"), [("0,1", 2), ("", 0), ("-1", 0), ("GPU-4f2,GPU-9a1,3", 3), ("0,-1,1", 1)]
)
def test_gpus_are_counted_as_cuda_counts_them(monkeypatch, named, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert spread.visible_gpus() == count


def test_a_process_for_each_gpu(settings, monkeypatch, tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(spread, "DEVICE_FILES", tmp_path)
    assert command("ppo", Path("run.json"))[1:] == ["-m", "training.core.launch", "2", "ppo", "run.json"]
    assert spread.processes("score") == 1, "it trains nothing"
    settings.PRECEPTOR_TRAIN_PROCESSES = 1
    assert spread.processes("ppo") == 1


def test_processes_share_the_threads_of_the_machine(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(spread.os, "cpu_count", lambda: 8)
    assert [environment(0, count)["OMP_NUM_THREADS"] for count in (1, 2, 16)] == ["8", "4", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment(0, 2)["OMP_NUM_THREADS"] == "3"
