"""Manifests: what a version is, where it came from, and what it was made with.

>>> from meta_learning.registry.store import MemoryStore
>>> store = MemoryStore()
>>> first = publish(store, Manifest(kind="prompt", loop="support", version="v1", content=store.put(b"Be kind.")))
>>> second = publish(store, Manifest(kind="prompt", loop="support", version="v2", parent=first, content=store.put(b"Be brief.")))
>>> [manifest.version for manifest in lineage(store, second)]
['v2', 'v1']
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meta_learning.errors import MalformedState
from meta_learning.registry import Store


class Manifest(BaseModel):
    """One version. ``content`` is the digest of its bytes; ``parent`` the digest of the manifest it grew from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["model", "prompt"]
    loop: str
    version: str
    content: str
    parent: str | None = None
    cycle: int | None = None
    numbers: dict[str, Any] = Field(default_factory=dict)
    made_with: dict[str, str] = Field(default_factory=dict)


def publish(store: Store, manifest: Manifest) -> str:
    """Write the manifest; its digest is what pointers point to. Publishing twice is harmless."""
    return store.put(manifest.model_dump_json().encode())


def manifest_of(store: Store, digest: str) -> Manifest:
    """Read a manifest back.

    Raises:
        NotFound: no such manifest.
        MalformedState: the blob is something else.
    """
    try:
        return Manifest.model_validate_json(store.get(digest))
    except ValidationError:
        raise MalformedState(f"blob {digest} is no manifest") from None


def lineage(store: Store, digest: str) -> Iterator[Manifest]:
    """The version and its ancestors, newest first, as far back as the store remembers."""
    following: str | None = digest
    while following is not None and store.has(following):
        manifest = manifest_of(store, following)
        yield manifest
        following = manifest.parent


def made_here() -> dict[str, str]:
    """Library versions and machine type: byte-equality of versions is promised where these agree."""
    import numpy
    import sklearn

    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "numpy": numpy.__version__,
        "scikit-learn": sklearn.__version__,
    }
