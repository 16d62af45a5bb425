"""What a model version's folder may hold, and its digest. No torch: the web process checks uploads with this.

A folder from elsewhere is hostile until shown otherwise. Pickled weights and Python files run code when loaded,
`auto_map` makes transformers look for such files, and a symlink can point at anything on the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

FORBIDDEN_SUFFIXES = frozenset(
    {
        ".bin",
        ".pt",
        ".pth",
        ".pkl",
        ".pickle",
        ".ckpt",
        ".joblib",
        ".h5",
        ".msgpack",
        ".npz",
    }  # loaders of these unpickle
    | {".py", ".pyc", ".pyd", ".so", ".dll", ".dylib"}
)
# Files that transformers asks for `auto_map`. Vocabularies are left out: there the word may be a token.
CONFIG_FILES = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
    "processor_config.json",
    "preprocessor_config.json",
)
INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILE, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
_CHUNK = 1 << 20


class UnsafeModelFolder(ValueError):
    """The folder can't be loaded safely, or is no model folder; the message names the file and the remedy."""


class FileEntry(TypedDict):
    """One file of a version: its SHA-256 in hex and its size in bytes."""

    sha256: str
    size: int


def check_version_folder(path: str | Path) -> None:
    """Refuse a model folder that is incomplete or could run code. Raises UnsafeModelFolder."""
    folder = Path(path)
    if not folder.is_dir():
        raise UnsafeModelFolder(f"{folder.name}: no such folder; give the folder that save_pretrained wrote.")
    if not (folder / "config.json").is_file():
        raise UnsafeModelFolder(
            f"{folder.name}: config.json is missing; give the folder that save_pretrained wrote."
        )
    names = [file.relative_to(folder).as_posix() for file in _walk(folder)]
    for name in names:
        if Path(name).suffix.lower() in FORBIDDEN_SUFFIXES:
            raise UnsafeModelFolder(
                f"{name}: this kind of file can run code when it is loaded; remove it (weights: safetensors)."
            )
    if not any(name.endswith(".safetensors") and "/" not in name for name in names):
        raise UnsafeModelFolder(
            f"{folder.name}: no *.safetensors weights; save the model with save_pretrained again."
        )
    for name in CONFIG_FILES:
        if (folder / name).is_file() and _has_key(_read_json_object(folder / name), "auto_map"):
            raise UnsafeModelFolder(
                f"{name}: auto_map asks for code from outside; remove it or choose a built-in architecture."
            )
    _check_index(folder)


def check_tokenizer_fits(path: str | Path) -> None:
    """Refuse a folder whose tokenizer writes ids that its model has no embedding for. Raises UnsafeModelFolder.

    Beside `check_version_folder`, because a vocabulary takes a third of a second to read. What the files don't say
    (the sizes of a tokenizer.model, or of a model inside a model) is checked when the folder is loaded.
    """
    folder = Path(path)
    rows = _read_json_object(folder / "config.json").get("vocab_size")
    if isinstance(rows, int) and (folder / TOKENIZER_FILE).is_file():
        tokenizer = _read_json_object(folder / TOKENIZER_FILE)
        check_vocabulary(_ids_in(tokenizer), {*_special_in(tokenizer), _pad_of(folder)}, rows)


def check_vocabulary(ids: Mapping[str, int], special: Collection[str | None], rows: int) -> None:
    """Refuse ids of words past an embedding of `rows` rows. Special tokens may lie there: no text is ever encoded to one.
    So does PAD where `ensure_pad` added it, and a marker of images in Gemma's text models.

    Nothing is wrong with rows to spare: embeddings are padded to a round number. Raises UnsafeModelFolder.
    """
    if any(number >= rows and token not in special for token, number in ids.items()):
        raise UnsafeModelFolder(
            f"the tokenizer has {max(ids.values()) + 1} tokens, the model's embedding {rows} rows; "
            "give the tokenizer that the model was trained with, or a model resized and trained to this one."
        )


def digest_folder(path: str | Path) -> tuple[str, dict[str, FileEntry]]:
    """SHA-256 over the sorted canonical JSON of all files, and the files by their POSIX path relative to the folder.

    Depends on names and bytes alone: not on times, modes or the order in which the disk lists them.
    Raises UnsafeModelFolder for symlinks that lead out and for things that are not plain files.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UnsafeModelFolder(f"{folder.name}: no such folder; give an existing one.")
    files = {file.relative_to(folder).as_posix(): _entry(file) for file in sorted(_walk(folder))}
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest(), files


def _walk(folder: Path) -> Iterator[Path]:
    """Every plain file below the folder; a symlink may stand only for a plain file inside it."""
    inside = folder.resolve()
    for root, directories, names in os.walk(folder, followlinks=False):
        for name in directories:
            # os.walk does not enter a linked folder, so its files would escape the check and the digest.
            if (Path(root) / name).is_symlink():
                raise UnsafeModelFolder(f"{name}: a symlink to a folder; copy the folder itself.")
        for name in names:
            file = Path(root) / name
            if file.is_symlink() and not file.resolve().is_relative_to(inside):
                raise UnsafeModelFolder(
                    f"{name}: a symlink that leads out of the model folder; copy the file itself."
                )
            if not file.is_file():
                raise UnsafeModelFolder(f"{name}: not a plain file; remove it.")
            yield file


def _entry(file: Path) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return {"sha256": digest.hexdigest(), "size": size}


def _read_json_object(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnsafeModelFolder(f"{file.name}: not valid JSON; save the model again.") from error
    if not isinstance(data, dict):
        raise UnsafeModelFolder(f"{file.name}: not a JSON object; save the model again.")
    return data


def _ids_in(tokenizer: dict[str, Any]) -> dict[str, int]:
    """Token to id, of what tokenizer.json lists: the model's own (Unigram: in the order of ids) and those added to it."""
    try:
        listed = tokenizer["model"]["vocab"]
        found = (
            listed if isinstance(listed, dict) else {entry[0]: place for place, entry in enumerate(listed)}
        )
        added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens") or ()}
        return {token: int(number) for token, number in (found | added).items()}
    except (LookupError, TypeError, ValueError) as error:
        raise UnsafeModelFolder(f"{TOKENIZER_FILE}: lists no tokens; save the tokenizer again.") from error


def _special_in(tokenizer: dict[str, Any]) -> set[str]:
    return {token["content"] for token in tokenizer.get("added_tokens") or () if token.get("special")}


def _pad_of(folder: Path) -> str | None:
    if not (folder / TOKENIZER_CONFIG).is_file():
        return None
    pad = _read_json_object(folder / TOKENIZER_CONFIG).get("pad_token")
    return pad.get("content") if isinstance(pad, dict) else pad


def _has_key(data: Any, key: str) -> bool:
    if isinstance(data, dict):
        return key in data or any(_has_key(value, key) for value in data.values())
    return isinstance(data, list) and any(_has_key(value, key) for value in data)


def _check_index(folder: Path) -> None:
    """A sharded model's index may name only safetensors files that lie beside it."""
    if not (folder / INDEX_FILE).is_file():
        return
    weight_map = _read_json_object(folder / INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict):
        raise UnsafeModelFolder(f"{INDEX_FILE}: weight_map is missing; save the model again.")
    for name in sorted({str(value) for value in weight_map.values()}):
        if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
            raise UnsafeModelFolder(
                f"{INDEX_FILE}: {name!r} is no safetensors file beside it; save the model again."
            )
