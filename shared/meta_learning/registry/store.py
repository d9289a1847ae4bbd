"""Stores of content-addressed blobs: a folder or any fsspec URL, and memory.

>>> store = MemoryStore()
>>> store.get(store.put(b"weights"))
b'weights'
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import fsspec

from meta_learning.errors import MalformedState, NotFound, StoreUnavailable
from meta_learning.registry import digest_of
from meta_learning.registry.writing import store_errors, write_whole


class MemoryStore:
    """Blobs in a dictionary: for tests and for one process that keeps nothing."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, blob: bytes) -> str:
        """Keep ``blob``; its digest."""
        digest = digest_of(blob)
        self._blobs[digest] = blob
        return digest

    def get(self, digest: str) -> bytes:
        """The blob; raises `NotFound`."""
        try:
            return self._blobs[digest]
        except KeyError:
            raise NotFound(f"no blob {digest}") from None

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return digest in self._blobs

    def delete(self, digest: str) -> None:
        """Forget the blob."""
        self._blobs.pop(digest, None)

    def digests(self) -> list[str]:
        """Every digest, sorted."""
        return sorted(self._blobs)


class FileStore:
    """Blobs as files ``ab/abcdef…`` under a folder, or under any fsspec URL (``s3://bucket/prefix``, ``memory://x``).

    In a folder a blob is written beside its place, flushed to the disk and renamed, so a crash leaves a whole blob or none.
    Every method raises `StoreUnavailable` when the disk is full or refuses; the same call may succeed later.
    """

    def __init__(self, root: str | Path) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(str(root))

    def put(self, blob: bytes) -> str:
        """Keep ``blob`` durably; its digest."""
        digest = digest_of(blob)
        with store_errors(self._root):
            if not self._fs.exists(self._path(digest)):
                write_whole(self._fs, self._path(digest), blob)
        return digest

    def get(self, digest: str) -> bytes:
        """The blob; raises `NotFound`, or `MalformedState` when its bytes do not match its name."""
        try:
            with store_errors(self._root):
                blob = bytes(self._fs.cat_file(self._path(digest)))
        except StoreUnavailable as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFound(f"no blob {digest} under {self._root}") from None
            raise
        if digest_of(blob) != digest:
            raise MalformedState(f"blob {digest} under {self._root} is damaged: restore it from a copy")
        return blob

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        with store_errors(self._root):
            return bool(self._fs.exists(self._path(digest)))

    def delete(self, digest: str) -> None:
        """Forget the blob."""
        with store_errors(self._root):
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(digest))
            with contextlib.suppress(OSError, NotImplementedError):
                self._fs.rmdir(self._path(digest).rpartition("/")[0])  # if it is empty now

    def digests(self) -> list[str]:
        """Every digest, sorted."""
        with store_errors(self._root):
            if not self._fs.exists(self._root):
                return []
            names = (path.rsplit("/", 1)[-1] for path in self._fs.find(self._root))
            return sorted(name for name in names if len(name) == 64)

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"
