import hashlib
import json
import os
import stat

import pytest

from common.storage import FolderStore, StorageError, digest_of, root_of


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "made"
    (source / "data").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "data" / "汉字 ⁂.jsonl").write_bytes(b'{"a": 1}\n' * 3)
    return source


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")


def test_a_folder_comes_back_whole_and_read_only(store, folder):
    stored = store.open(store.put_folder(folder))
    assert (stored / "data" / "汉字 ⁂.jsonl").read_bytes() == (folder / "data" / "汉字 ⁂.jsonl").read_bytes()
    assert stat.S_IMODE((stored / "config.json").stat().st_mode) == 0o444


def test_anybody_can_compute_the_digest(store, folder):
    files = {
        name: {
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            "size": (folder / name).stat().st_size,
        }
        for name in ("config.json", "data/汉字 ⁂.jsonl")
    }
    text = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert store.put_folder(folder) == hashlib.sha256(text.encode()).hexdigest() == digest_of(files)


def test_the_same_content_is_stored_once_and_nothing_is_left_over(store, folder):
    first, second = store.put_folder(folder), store.put_folder(folder)
    assert first == second
    assert first in store
    assert list((store.root / "staging").iterdir()) == []
    assert store.verify(first).keys() == {"config.json", "data/汉字 ⁂.jsonl"}


def test_damage_is_found(store, folder):
    digest = store.put_folder(folder)
    target = store.open(digest) / "config.json"
    target.chmod(0o644)
    target.write_text("[]")
    with pytest.raises(StorageError, match="changed or damaged"):
        store.verify(digest)


def test_links_pipes_and_empty_folders_are_refused(store, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="empty"):
        store.put_folder(tmp_path / "empty")
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(StorageError, match="secret: only plain files"):
        store.put_folder(folder)
    (folder / "secret").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(StorageError, match="pipe: only plain files"):
        store.put_folder(folder)


@pytest.mark.parametrize("name", ["", "../../etc", "a" * 63, "A" * 64, "a" * 64 + "\n", "a" * 64])
def test_only_a_stored_digest_opens(store, name):
    with pytest.raises(StorageError):
        store.open(name)
    assert name not in store


@pytest.mark.parametrize("url", ["s3://bucket", "/plain/path", "file://host/x", "file:"])
def test_only_local_addresses_are_stores(url):
    with pytest.raises(StorageError, match="expected a local address"):
        root_of(url)


def test_a_local_address_may_be_escaped():
    assert str(root_of("file:///srv/a%20b")) == "/srv/a b"
