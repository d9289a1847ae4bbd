"""Replies that were paid for, by `Request.digest`: in memory, or in a journal on disk that survives a kill at any byte."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from meta_learning.errors import MalformedState
from meta_learning.llm import Reply


class ReplyCache(Protocol):
    """Replies by the identity of their request."""

    def get(self, digest: str) -> Reply | None:
        """The reply as it was paid for, or None."""

    def put(self, digest: str, reply: Reply) -> None:
        """Keep a reply; it is durable against a kill of the process when this returns."""


class MemoryCache:
    """Replies for as long as the process lives."""

    def __init__(self) -> None:
        self._replies: dict[str, Reply] = {}

    def get(self, digest: str) -> Reply | None:
        """The reply, or None."""
        return self._replies.get(digest)

    def put(self, digest: str, reply: Reply) -> None:
        """Keep a reply."""
        self._replies[digest] = reply


class JournalCache:
    """An append-only file of JSON lines. A torn last line (the writer was killed) is cut off when the file is opened.

    Raises:
        MalformedState: a line before the last one cannot be read; the message names it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._replies = MemoryCache()
        good_bytes = self._read(path)
        self._file: BinaryIO = path.open("ab")
        if self._file.tell() > good_bytes:
            self._file.truncate(good_bytes)

    def get(self, digest: str) -> Reply | None:
        """The reply, or None."""
        return self._replies.get(digest)

    def put(self, digest: str, reply: Reply) -> None:
        """Append a reply and hand it to the operating system."""
        line = json.dumps({"digest": digest, "reply": asdict(reply)}, ensure_ascii=False) + "\n"
        self._file.write(line.encode())
        self._file.flush()
        self._replies.put(digest, reply)

    def close(self) -> None:
        """Force everything to disk and close the file; harmless when called twice."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def _read(self, path: Path) -> int:
        """Load every whole line; return the bytes they take."""
        good_bytes = 0
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                said = json.loads(line)
                self._replies.put(said["digest"], reply_from(said["reply"]))
            except (ValueError, KeyError, TypeError) as error:
                raise MalformedState(f"{path}: line {number} is no reply") from error
            good_bytes += len(line)
        return good_bytes


def reply_from(said: Mapping[str, Any]) -> Reply:
    """A `Reply` from its JSON object; fields that this version does not know are ignored."""
    return Reply(**{name: value for name, value in said.items() if name in Reply.__dataclass_fields__})
