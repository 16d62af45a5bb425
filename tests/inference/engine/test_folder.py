"""Which folders may be loaded, and what their digest depends on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from inference.engine.folder import (
    UnsafeModelFolder,
    check_tokenizer_fits,
    check_version_folder,
    digest_folder,
)
from inference.engine.models import load_policy, load_scalar


@pytest.fixture
def folder(policy_folder: Path, tmp_path: Path) -> Path:
    """A good folder of one's own, to spoil."""
    return Path(shutil.copytree(policy_folder, tmp_path / "model"))


def _add_to_json(file: Path, key: str, value: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))


def _spoil_index(folder: Path) -> None:
    index = {"weight_map": {"a": "../../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _add_deep_pickle(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/optimizer.PT").write_bytes(b"")


SPOILERS: dict[str, Callable[[Path], object]] = {
    "config.json is missing": lambda f: (f / "config.json").unlink(),
    "config.json: not valid JSON": lambda f: (f / "config.json").write_text("{"),
    "config.json: not a JSON object": lambda f: (f / "config.json").write_text("[]"),
    "config.json: auto_map": lambda f: _add_to_json(f / "config.json", "auto_map", {"AutoModel": "x.Y"}),
    "config.json: auto_map asks": lambda f: _add_to_json(f / "config.json", "text_config", {"auto_map": {}}),
    "tokenizer_config.json: auto_map": lambda f: _add_to_json(f / "tokenizer_config.json", "auto_map", {}),
    "pytorch_model.bin": lambda f: (f / "pytorch_model.bin").write_bytes(b"\x80"),
    "modeling_x.py": lambda f: (f / "modeling_x.py").write_text(""),
    "deep/optimizer.PT": _add_deep_pickle,
    "no \\*.safetensors": lambda f: (f / "model.safetensors").unlink(),
    "link.json: a symlink that leads out": lambda f: (f / "link.json").symlink_to("/etc/hostname"),
    "dangling": lambda f: (f / "dangling").symlink_to(f / "nothing"),
    "more: a symlink to a folder": lambda f: (f / "more").symlink_to(f, target_is_directory=True),
    "model.safetensors.index.json": _spoil_index,
}


@pytest.mark.parametrize("message", SPOILERS)
def test_an_unsafe_folder_is_refused_and_never_loaded(folder: Path, message: str) -> None:
    check_version_folder(folder)
    SPOILERS[message](folder)
    for load in (check_version_folder, load_policy, load_scalar):
        with pytest.raises(UnsafeModelFolder, match=message):
            load(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeModelFolder, match="no such folder"):
        check_version_folder(tmp_path / "nothing")
    with pytest.raises(UnsafeModelFolder, match="no such folder"):
        digest_folder(tmp_path / "nothing")


def test_the_word_auto_map_as_a_token_is_no_danger(folder: Path) -> None:
    _add_to_json(folder / "tokenizer.json", "auto_map", {})
    check_version_folder(folder)


def _pretend(folder: Path, model: dict[str, object], added: object = None, **config: object) -> None:
    (folder / "tokenizer.json").write_text(json.dumps({"model": model, "added_tokens": added}))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_a_tokenizer_must_fit_its_embedding_and_only_special_tokens_may_lie_past_it(
    folder: Path, larger_tokenizer: PreTrainedTokenizerFast
) -> None:
    check_tokenizer_fits(folder)  # as many tokens as rows
    words = {f"word {n}": n for n in range(512)}
    _pretend(folder, {"vocab": words | {"[PAD]": 512}}, pad_token="[PAD]")
    check_tokenizer_fits(folder)
    _pretend(folder, {"vocab": words | {"[PAD]": 512}}, pad_token={"content": "word 7"})
    with pytest.raises(UnsafeModelFolder, match=r"513 tokens.* 512 rows"):
        check_tokenizer_fits(folder)
    image = {"content": "<image_soft_token>", "id": 512, "special": True}
    _pretend(folder, {"vocab": words}, [image], pad_token="word 7")
    check_tokenizer_fits(folder)  # Gemma's text models have one
    _pretend(folder, {"vocab": words}, [{**image, "special": False}], pad_token="word 7")
    with pytest.raises(UnsafeModelFolder, match=r"513 tokens.* 512 rows"):
        check_tokenizer_fits(folder)
    _pretend(folder, {"vocab": [[word, -1.0] for word in words]})  # Unigram
    check_tokenizer_fits(folder)
    _pretend(folder, {"vocab": [[word, -1.0] for word in [*words, "one more"]]})
    with pytest.raises(UnsafeModelFolder, match=r"513 tokens.* 512 rows"):
        check_tokenizer_fits(folder)
    larger_tokenizer.save_pretrained(folder)
    with pytest.raises(UnsafeModelFolder, match=r"600 tokens.* 512 rows"):
        check_tokenizer_fits(folder)
    (folder / "tokenizer.json").write_text('{"model": {"vocab": 7}}')
    with pytest.raises(UnsafeModelFolder, match="lists no tokens"):
        check_tokenizer_fits(folder)


def test_a_link_inside_the_folder_is_fine(folder: Path) -> None:
    (folder / "again.json").symlink_to(folder / "config.json")
    check_version_folder(folder)
    files = digest_folder(folder)[1]
    assert files["again.json"] == files["config.json"]


def test_the_digest_hangs_on_names_and_bytes_alone(folder: Path, tmp_path: Path) -> None:
    digest, files = digest_folder(folder)
    assert set(files) == {f.name for f in folder.iterdir()}
    assert files["config.json"]["size"] == (folder / "config.json").stat().st_size
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in sorted(folder.iterdir(), reverse=True):
        (copy / file.name).write_bytes(file.read_bytes())
    assert digest_folder(copy) == (digest, files)
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert digest_folder(copy)[0] != digest
    (folder / "config.json").rename(folder / "config2.json")
    assert digest_folder(folder)[0] != digest
