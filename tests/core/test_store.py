"""Stores of blobs keep whole blobs or none, and say in one word when the disk refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from meta_learning.errors import MalformedState, NotFound, StoreUnavailable
from meta_learning.registry import Store, digest_of
from meta_learning.registry.store import FileStore, MemoryStore
from meta_learning.registry.writing import write_whole


@pytest.fixture(params=["folder", "memory", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    return FileStore(tmp_path / "store" if request.param == "folder" else f"memory://{tmp_path.name}")


def test_what_was_put_comes_back_under_its_digest_until_it_is_deleted(store: Store) -> None:
    digests = sorted(store.put(blob) for blob in (b"one", b"two", b"one"))
    assert store.digests() == sorted({digest_of(b"one"), digest_of(b"two")}) == sorted(set(digests))
    assert store.get(digest_of(b"two")) == b"two"
    for _ in range(2):  # forgetting twice is harmless
        store.delete(digest_of(b"two"))
    assert not store.has(digest_of(b"two"))
    with pytest.raises(NotFound, match=digest_of(b"two")):
        store.get(digest_of(b"two"))


def test_a_damaged_blob_is_named_and_never_handed_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = store.put(b"weights")
    (tmp_path / digest[:2] / digest).write_bytes(b"weightz")
    with pytest.raises(MalformedState, match=f"{digest} .* is damaged"):
        store.get(digest)


def test_many_writers_of_one_blob_leave_it_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    store, blob = FileStore(tmp_path), bytes(200_000)
    with ThreadPoolExecutor(16) as threads:
        digests = set(threads.map(lambda _: store.put(blob), range(64)))
    assert digests == {digest_of(blob)}
    assert store.get(digest_of(blob)) == blob
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_place_that_cannot_be_written_is_unavailable_and_works_again_later(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")  # a file where the folder must be
    store = FileStore(tmp_path / "store")
    with pytest.raises(StoreUnavailable, match="store cannot be used now"):
        store.put(b"weights")
    (tmp_path / "store").unlink()
    assert store.get(store.put(b"weights")) == b"weights"


def test_a_write_that_fails_leaves_neither_half_a_file_nor_a_changed_one(tmp_path: Path) -> None:
    fs = fsspec.filesystem("file")
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_whole(fs, f"{tmp_path}/taken", b"new")  # a folder cannot be replaced by a file
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_forgetting_the_last_blob_of_a_folder_leaves_no_empty_folder(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.delete(store.put(b"weights"))
    assert list(tmp_path.iterdir()) == []
