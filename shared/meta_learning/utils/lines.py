"""Files that only grow by whole lines: a kill at any moment loses nothing of what was written before.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     lines = LineFile(Path(folder) / "log.txt")
...     lines.append(b"first\\n")
...     lines.close()
...     (Path(folder) / "log.txt").read_text()
'first\\n'
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from meta_learning.errors import StoreUnavailable


class LineFile:
    """One file, opened for appending. Half a line that an earlier writer was killed in is cut off: it never counted.

    ``sync``: also wait until the disk has each line, so that it survives a power cut and not only a kill.

    Raises:
        StoreUnavailable: the disk is full or refuses; what was written before stays readable.
    """

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        self.path = path
        self._sync = sync
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle: int | None = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            _cut_torn_line(self._handle)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}") from error

    def append(self, line: bytes) -> None:
        """Add one line, which ends with a newline; it is safe when this returns."""
        if self._handle is None:
            raise StoreUnavailable(f"{self.path} is closed")
        try:
            # One write: never interleaved with another writer's line.
            if os.write(self._handle, line) != len(line):
                _cut_torn_line(self._handle)
                raise StoreUnavailable(f"{self.path}: the disk took only a part of a line")
            if self._sync:
                os.fsync(self._handle)
        except OSError as error:
            raise StoreUnavailable(f"{self.path} cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Flush to the disk and close; harmless when called twice."""
        if self._handle is not None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = None


def write_whole(path: Path, blob: bytes) -> None:
    """Write ``blob`` over ``path``: whoever reads it, also after a crash, sees the old or the new bytes, never a mixture."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}") from error


def _cut_torn_line(handle: int) -> None:
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        # A line is at most a few KiB; looking back further in steps keeps a long log out of memory.
        end, step = size, 1 << 16
        while end > 0:
            start = max(0, end - step)
            found = os.pread(handle, end - start, start).rfind(b"\n")
            if found >= 0:
                os.ftruncate(handle, start + found + 1)
                return
            end = start
        os.ftruncate(handle, 0)
