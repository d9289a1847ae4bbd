"""Stores of content-addressed blobs: a folder or any fsspec URL, and memory.

>>> store = MemoryStore()
>>> store.get(store.put(b"weights"))
b'weights'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec

from meta_learning.errors import MalformedState, NotFound
from meta_learning.registry import digest_of


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
    """

    def __init__(self, root: str | Path) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(str(root))
        self._local = "file" in _protocols(self._fs)

    def put(self, blob: bytes) -> str:
        """Keep ``blob`` durably; its digest."""
        digest = digest_of(blob)
        if not self.has(digest):
            self._fs.makedirs(self._folder(digest), exist_ok=True)
            if self._local:
                self._put_local(self._path(digest), blob)
            else:
                self._fs.pipe_file(self._path(digest), blob)
        return digest

    def _put_local(self, path: str, blob: bytes) -> None:
        beside = f"{path}.{os.getpid()}.partial"
        with open(beside, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def get(self, digest: str) -> bytes:
        """The blob; raises `NotFound`, or `MalformedState` when its bytes do not match its name."""
        try:
            blob = bytes(self._fs.cat_file(self._path(digest)))
        except FileNotFoundError:
            raise NotFound(f"no blob {digest} under {self._root}") from None
        if digest_of(blob) != digest:
            raise MalformedState(f"blob {digest} under {self._root} is damaged: restore it from a copy")
        return blob

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return bool(self._fs.exists(self._path(digest)))

    def delete(self, digest: str) -> None:
        """Forget the blob."""
        if self.has(digest):
            self._fs.rm_file(self._path(digest))

    def digests(self) -> list[str]:
        """Every digest, sorted."""
        if not self._fs.exists(self._root):
            return []
        names = (path.rsplit("/", 1)[-1] for path in self._fs.find(self._root))
        return sorted(name for name in names if len(name) == 64)

    def _folder(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}"

    def _path(self, digest: str) -> str:
        return f"{self._folder(digest)}/{digest}"


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
