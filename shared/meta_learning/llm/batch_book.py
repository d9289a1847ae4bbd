"""What a run has sent as batches, and what it was about to send: so that a killed run fetches what it has paid for.

>>> book = BatchBook()
>>> book.intend(Intent("a-name", at=0.0, digests=("d1", "d2")))
>>> book.intent_of("d1").name, book.batch_of("d1")
('a-name', None)
>>> book.note("batch-7", ["d1", "d2"], intent="a-name")
>>> book.intent_of("d1"), book.batch_of("d1")
(None, 'batch-7')
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that is about to be sent under ``name``, ``at`` seconds since 1970: it was taken or not, if nothing follows."""

    name: str
    at: float
    digests: tuple[str, ...]


class BatchBook:
    """Which question went out in which batch, on disk where a ``path`` is given; what was noted survives a kill."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._batch_of: dict[str, str] = {}
        self._intents: dict[str, Intent] = {}
        self.batches: set[str] = set()
        for line in _whole_lines(path) if path is not None and path.exists() else ():
            self._read(json.loads(line))

    def intend(self, intent: Intent) -> None:
        """Write down a batch before it is sent."""
        self._write({"intent": intent.name, "at": intent.at, "digests": list(intent.digests)})

    def note(self, batch_id: str, digests: Iterable[str], intent: str = "") -> None:
        """Write down a batch that was taken, and so what became of its ``intent``."""
        self._write({"batch": batch_id, "of": intent, "digests": list(digests)})

    def drop(self, intent: Intent) -> None:
        """Write down that nothing was taken under this intent."""
        self._write({"dropped": intent.name})

    def batch_of(self, digest: str) -> str | None:
        """The batch in which a question is on its way or answered."""
        return self._batch_of.get(digest)

    def intent_of(self, digest: str) -> Intent | None:
        """The batch that a question was to go out in, where nobody knows whether it did."""
        return next((one for one in self._intents.values() if digest in one.digests), None)

    def forget(self, digest: str) -> None:
        """Its batch brought nothing for it: it may go out again."""
        self._batch_of.pop(digest, None)

    def _write(self, said: dict[str, Any]) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps(said) + "\n")
        self._read(said)

    def _read(self, said: Mapping[str, Any]) -> None:
        if "batch" in said:
            self._batch_of |= dict.fromkeys(said["digests"], said["batch"])
            self.batches.add(said["batch"])
            self._intents.pop(said.get("of", ""), None)
        elif "intent" in said:
            self._intents[said["intent"]] = Intent(said["intent"], said["at"], tuple(said["digests"]))
        else:
            self._intents.pop(said["dropped"], None)


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a file. Half a line that its writer was killed in is cut off, or the next one would be written behind it."""
    said = path.read_bytes()
    whole = said[: said.rfind(b"\n") + 1]
    if len(whole) < len(said):
        os.truncate(path, len(whole))
    return whole.splitlines()
