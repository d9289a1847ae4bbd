"""`MemoryBroker`: what a broker holds, in this process: for tests, and for the library without any server.

It is shared by all `MemoryLog`s that are to see the same streams, as a server is shared by processes. ``down`` makes every
call raise `BrokerUnavailable`; `wipe` forgets everything, as a server does that kept its data in memory only.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from meta_learning.errors import BrokerUnavailable
from meta_learning.streams import START, DeadLetter, Entry, StreamName, entry_order
from meta_learning.streams.keys import STREAMS


@dataclass(slots=True)
class Pending:
    """An entry that a relay's consumer took and has not acknowledged."""

    consumer: str
    taken_at_ms: int


@dataclass(slots=True)
class Group:
    """A relay's group on one stream."""

    delivered: str = START
    pending: dict[str, Pending] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryStream:
    """One append-only stream with its readers."""

    name: StreamName
    entries: list[Entry] = field(default_factory=list)
    last: tuple[int, int] = (0, 0)
    added_count: int = 0
    offsets: dict[str, str] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def add(self, now_ms: int, kind: str, body: bytes, traceparent: str | None) -> str:
        """Append one entry; its id grows even when the clock steps back."""
        self.last = (now_ms, 0) if now_ms > self.last[0] else (self.last[0], self.last[1] + 1)
        entry_id = f"{self.last[0]}-{self.last[1]}"
        self.entries.append(Entry(self.name, entry_id, body, kind, traceparent))
        self.added_count += 1
        return entry_id

    def after(self, offset: str, count_max: int | None = None) -> list[Entry]:
        """The entries behind ``offset``."""
        start = bisect_right(self.entries, entry_order(offset), key=lambda entry: entry_order(entry.id))
        return self.entries[start:] if count_max is None else self.entries[start : start + count_max]

    def find(self, entry_id: str) -> Entry | None:
        """The entry with this id, unless it was trimmed."""
        start = bisect_right(self.entries, entry_order(entry_id), key=lambda entry: entry_order(entry.id))
        return self.entries[start - 1] if start and self.entries[start - 1].id == entry_id else None

    def trimmable(self) -> str:
        """The smallest offset of all readers; `START` without readers."""
        lows = [*self.offsets.values(), *map(self._group_low, self.groups.values())]
        return min(lows, key=entry_order, default=START)

    def _group_low(self, group: Group) -> str:
        if not group.pending:
            return group.delivered
        oldest = entry_order(min(group.pending, key=entry_order))
        earlier = [entry.id for entry in self.entries if entry_order(entry.id) < oldest]
        return earlier[-1] if earlier else START


@dataclass(slots=True)
class Lease:
    """Who owns one fold, and its window of outcomes."""

    token: str = ""
    owner: str = ""
    expires_ms: int = 0
    window: str = ""


@dataclass(slots=True)
class Partition:
    """Everything that must change atomically: no ``await`` happens while one is changed."""

    streams: dict[StreamName, MemoryStream] = field(
        default_factory=lambda: {name: MemoryStream(name) for name in STREAMS}
    )
    counters: Counter[str] = field(default_factory=Counter)
    seen: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    said: dict[tuple[StreamName, str], tuple[str, int]] = field(default_factory=dict)
    loops: set[str] = field(default_factory=set)
    pointers: dict[str, str] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    states: dict[str, dict[str, bytes]] = field(default_factory=dict)
    dead: dict[str, DeadLetter] = field(default_factory=dict)
    dead_last: tuple[int, int] = (0, 0)

    def forget(self, now_ms: int) -> None:
        """Drop the identities whose window is over."""
        drop_ended(self.seen, now_ms)
        drop_ended(self.said, now_ms)


def drop_ended(known: dict[Any, Any], now_ms: int) -> None:
    """Drop what ended; the entries' last field says when, and they lie in that order.

    >>> known = {"a": ("1-0", 10), "b": ("2-0", 20)}
    >>> drop_ended(known, 10)
    >>> known
    {'b': ('2-0', 20)}
    """
    for key in list(itertools.takewhile(lambda key: known[key][-1] <= now_ms, known)):
        del known[key]


class MemoryBroker:
    """The data and the wake-up of one deployment; ``now_ms`` is its clock (leases, identity windows, ages, ids)."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.now_ms = now_ms
        self.down = False
        self.changed = asyncio.Condition()
        self.tokens = itertools.count(1)  # never starts again, so an owner from before a wipe stays fenced out
        self.layout: int | None = None
        self.admitted: set[str] = set()
        self._partitions: dict[int, Partition] = {}

    def __getitem__(self, partition: int) -> Partition:
        self.check()
        return self._partitions.setdefault(partition, Partition())

    def check(self) -> None:
        """Raises `BrokerUnavailable` while ``down``."""
        if self.down:
            raise BrokerUnavailable("the broker cannot take this now: it is down")

    def wipe(self) -> None:
        """Forget everything, as a server does that is restarted empty."""
        self.layout = None
        self.admitted.clear()
        self._partitions.clear()

    def lose(self, partition: int, stream: StreamName) -> None:
        """Lose one stream with its groups, as by an operator's mistake; ids and counts go on from where they were."""
        found = self[partition].streams[stream]
        found.entries.clear()
        found.groups.clear()
        self[partition].counters["recoveries"] += 1

    async def wake(self) -> None:
        """Tell waiting readers that something was added."""
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, until_s: float) -> bool:
        """Wait until something may have been added; False once the event loop's clock passes ``until_s``."""
        left_s = until_s - asyncio.get_running_loop().time()
        if left_s <= 0:
            return False
        try:
            async with asyncio.timeout(left_s), self.changed:
                await self.changed.wait()
        except TimeoutError:
            return False
        return True
