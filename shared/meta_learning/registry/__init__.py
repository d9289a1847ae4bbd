"""Versions of models and prompts: content-addressed blobs, a manifest a version, lineage through the parents.

A `Store` keeps blobs by the digest of their bytes; `versions` writes manifests into it. What is *current* is a pointer, and
pointers live where they move atomically with the events that explain them: in the event log (`meta_learning.streams`).
"""

from __future__ import annotations

import hashlib
from typing import Protocol


def digest_of(blob: bytes) -> str:
    """The name of ``blob`` in every store: SHA-256 in hexadecimal (FIPS 180-4).

    >>> digest_of(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(blob).hexdigest()


class Store(Protocol):
    """Blobs by digest. Adapters: `store.FileStore` (a folder, or any fsspec URL) and `store.MemoryStore`."""

    def put(self, blob: bytes) -> str:
        """Keep ``blob`` durably and return its digest. Putting the same bytes twice is harmless."""

    def get(self, digest: str) -> bytes:
        """The bytes again.

        Raises:
            NotFound: no such blob.
            MalformedState: the bytes no longer match the digest.
        """

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""

    def delete(self, digest: str) -> None:
        """Forget the blob; harmless when it is not there."""

    def digests(self) -> list[str]:
        """Every digest in the store, sorted."""
