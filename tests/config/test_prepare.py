"""How the packages come in, where the first way is closed."""

import os
from pathlib import Path

import pytest

from config.prepare import Installer

FAKE_UV = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in *--torch-backend*) echo "error: no route to the index" >&2; exit 1;; esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The bin folder of a virtual environment whose uv cannot reach PyTorch's own index."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("uv", FAKE_UV.format(calls=tmp_path / "calls")), ("python", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_the_large_torch_is_announced_before_it_comes(environment, tmp_path, monkeypatch):
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    said = []

    def say(text: str) -> None:
        said.append((text, (tmp_path / "calls").read_text().count(os.linesep)))

    Installer(environment / "python", say).install(["torch"])
    [(text, calls)] = said
    assert "no route to the index" in text
    assert "2.7 GB of CUDA" in text
    assert calls == 1  # before the second way
    assert len((tmp_path / "calls").read_text().splitlines()) == 2
