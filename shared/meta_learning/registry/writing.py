"""Writing a file so that a crash, a full disk or a second writer leaves the whole of it or nothing.

>>> import fsspec, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     fs, root = fsspec.core.url_to_fs(folder)
...     write_whole(fs, f"{root}/deep/er/file", b"text")
...     fs.cat_file(f"{root}/deep/er/file")
b'text'
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import Any

from meta_learning.errors import StoreUnavailable


def write_whole(fs: Any, path: str, blob: bytes) -> None:
    """Write ``blob`` to ``path``, over what was there; the folders on the way are made.

    On a disk it is flushed before it takes its name, and the folder after: a name that can be seen has its bytes, also after a
    power cut. Elsewhere the store's own promise holds (S3 shows whole objects only).
    """
    folder = path.rpartition("/")[0]
    fs.makedirs(folder, exist_ok=True)
    if "file" not in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol):
        fs.pipe_file(path, blob)
        return
    # A name of its own for each attempt: two threads, or two processes, may write the same blob at the same time.
    beside = f"{path}.{uuid.uuid4().hex}.partial"
    try:
        with open(beside, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # on a full disk, what was left of it would be in the way of the next attempt
        raise
    _flush_folder(folder)


def _flush_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def store_errors(root: str) -> Iterator[None]:
    """Translate what the operating system says (disk full, no permission, input/output error) into `StoreUnavailable`."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"{root} cannot be used now: {error.strerror or error}") from error
