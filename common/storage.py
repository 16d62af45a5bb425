"""Content-addressed folders: snapshots, model versions, checkpoints.

A folder is stored under the hash of what it holds and never changes. The digest is the SHA-256 of the canonical
JSON `{"relative/name": {"sha256": hex, "size": bytes}, ...}` (keys sorted, no spaces, UTF-8), so that anybody can
compute it again with `sha256sum` and ten lines of code. No string from a user is ever part of a path: only digests are.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict
from urllib.parse import unquote, urlsplit

from django.conf import settings

DIGEST = re.compile(r"[0-9a-f]{64}")
BLOCK = 1 << 20


class StoredFile(TypedDict):
    """One file of a stored folder."""

    sha256: str
    size: int


class StorageError(ValueError):
    """The folder cannot be stored, or what is stored is not what its digest says."""


class FolderStore:
    """Stores folders below `root` as `<first two hex digits>/<digest>/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_folder(self, source: Path) -> str:
        """Copy `source` into the store and return its digest; storing the same content again is free of effect.

        Atomic: a reader sees the whole folder or none, also after a crash. Raises StorageError for an empty
        folder, for links and for anything that is not a plain file.
        """
        staging_root = self.root / "staging"
        staging_root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=staging_root))
        try:
            files = {name: _copy(path, staging / name) for name, path in _plain_files(source)}
            if not files:
                raise StorageError(f"{source.name}: the folder is empty")
            digest = digest_of(files)
            self._publish(staging, digest)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return digest

    def open(self, digest: str) -> Path:
        """The folder with this digest, read-only. Raises StorageError if it is not here."""
        path = self._place(digest)
        if not path.is_dir():
            raise StorageError(f"{digest}: not in the store")
        return path

    def __contains__(self, digest: str) -> bool:
        return bool(DIGEST.fullmatch(digest)) and self._place(digest).is_dir()

    def verify(self, digest: str) -> dict[str, StoredFile]:
        """Read every byte again and return the files; raises StorageError if the content is not the digest's."""
        files = read_folder(self.open(digest))
        if digest_of(files) != digest:
            raise StorageError(
                f"{digest}: the stored files were changed or damaged; restore them from a backup"
            )
        return files

    def _place(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise StorageError(f"{digest[:80]!r} is not a digest: expected 64 hex digits")
        return self.root / digest[:2] / digest

    def _publish(self, staging: Path, digest: str) -> None:
        target = self._place(digest)
        if target.is_dir():
            return
        target.parent.mkdir(exist_ok=True)
        staging.chmod(0o755)  # mkdtemp makes it private; a worker of another user must be able to read it.
        _sync(staging)
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():  # Not a second writer of the same content, so a real error.
                raise
        _sync(target.parent)


def default_store() -> FolderStore:
    """The store that the settings name (`PRECEPTOR_STORE_URL`)."""
    return FolderStore(root_of(settings.PRECEPTOR_STORE_URL))


def root_of(url: str) -> Path:
    """The folder behind a `file://` address; raises StorageError for other schemes."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path:
        raise StorageError(f"{url}: expected a local address such as file:///var/lib/preceptor/store")
    return Path(unquote(parts.path))


def digest_of(files: dict[str, StoredFile]) -> str:
    """SHA-256 (hex) of the canonical JSON of a folder's files."""
    text = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_folder(source: Path) -> dict[str, StoredFile]:
    """Names, hashes and sizes of all files below `source`."""
    return {name: _hash(path) for name, path in _plain_files(source)}


def _plain_files(source: Path) -> Iterator[tuple[str, Path]]:
    if not source.is_dir() or source.is_symlink():
        raise StorageError(f"{source.name}: not a folder")
    for path in sorted(source.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path.relative_to(source).as_posix(), path
        elif not stat.S_ISDIR(mode):
            raise StorageError(
                f"{path.relative_to(source)}: only plain files are stored, no links or devices"
            )


def _copy(source: Path, target: Path) -> StoredFile:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(BLOCK):
            digest.update(block)
            size += len(block)
            writer.write(block)
        os.fchmod(writer.fileno(), 0o444)
        writer.flush()
        os.fsync(writer.fileno())
    return {"sha256": digest.hexdigest(), "size": size}


def _hash(path: Path) -> StoredFile:
    with path.open("rb") as reader:
        digest = hashlib.file_digest(reader, "sha256").hexdigest()
    return {"sha256": digest, "size": path.stat().st_size}


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
