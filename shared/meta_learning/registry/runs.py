"""Logs of runs as files: JSON lines that a kill at any byte leaves readable.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     store = FileRunStore(folder)
...     store.append("run-1", {"kind": "started"})
...     FileRunStore(folder).read("run-1")
[{'kind': 'started'}]
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_learning.errors import CallerError, MalformedState

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class FileRunStore:
    """Each run's log is ``<root>/<run_id>/log.jsonl``. One process writes a run at a time; any number may read it.

    A line that its writer was killed in the middle of never counted: it is cut off by the next writer.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        self._whole: set[str] = set()

    def append(self, run_id: str, event: Mapping[str, Any]) -> None:
        """Add one JSON object; it is with the operating system, safe from a kill of this process, when this returns."""
        path = self._path(run_id)
        if run_id not in self._whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(path)
            self._whole.add(run_id)
        line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
        # One write in append mode: never interleaved with another's, whole unless the disk is full.
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(handle, line) != len(line):
                self._whole.discard(run_id)
                raise OSError(f"{path}: the disk took only a part of a line")
        finally:
            os.close(handle)

    def read(self, run_id: str) -> list[Mapping[str, Any]]:
        """The log in order; empty for a run that never started.

        Raises:
            MalformedState: a line before the last one cannot be read; the message names it.
        """
        path = self._path(run_id)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return [_read_line(path, number, line) for number, line in enumerate(lines, start=1) if line.endswith(b"\n")]

    def _path(self, run_id: str) -> Path:
        if not _RUN_ID.fullmatch(run_id):
            raise CallerError(f"{run_id!r} is no name of a run: use letters, digits, '.', '_' and '-'")
        return self._root / run_id / "log.jsonl"


def _read_line(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise MalformedState(f"{path}: line {number} is no JSON object")
    return event


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        with path.open("rb+") as file:
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
