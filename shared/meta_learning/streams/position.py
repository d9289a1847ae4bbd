"""Where a fold stands in its streams, so that it need not count for itself what a commit covers.

>>> position = Position({"feedback": "0-0"})
>>> position.passed(Entry("feedback", "5-0", b"{}"))
>>> position.counts(Commit(offsets={"feedback": "5-0"}))
{'feedback': 1}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from meta_learning.streams import Commit, Entry, StreamName, entry_order


class Position:
    """Where a fold stands in its streams: what it read, and how much of that it has yet to commit."""

    def __init__(self, offsets: Mapping[StreamName, str]) -> None:
        self.read: dict[StreamName, str] = dict(offsets)
        self._open: dict[StreamName, deque[str]] = {name: deque() for name in offsets}

    def passed(self, entry: Entry) -> None:
        """``entry`` was handed out."""
        self.read[entry.stream] = entry.id
        self._open[entry.stream].append(entry.id)

    def covered(self, stream: StreamName, offset: str) -> int:
        """How many of the entries that were handed out ``offset`` covers."""
        return sum(entry_order(entry_id) <= entry_order(offset) for entry_id in self._open.get(stream, ()))

    def committed(self, stream: StreamName, offset: str) -> None:
        """``offset`` is committed: what it covers need not be counted again."""
        waiting = self._open.get(stream, deque())
        while waiting and entry_order(waiting[0]) <= entry_order(offset):
            waiting.popleft()

    def counts(self, commit: Commit) -> dict[StreamName, int]:
        """How many entries of each stream ``commit`` covers: what it says, else what was handed out."""
        return {name: commit.counts.get(name, self.covered(name, offset)) for name, offset in commit.offsets.items()}
