"""`MemoryRelay`: an order-free consumer group over the ``events`` streams, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from meta_learning.streams import START, Entry, entry_order
from meta_learning.streams.memory_broker import Group, MemoryBroker, MemoryStream, Pending


class MemoryRelay:
    """See `meta_learning.streams.Relay`."""

    def __init__(
        self, broker: MemoryBroker, partitions_count: int, group: str, consumer: str, idle_ms_min: int
    ) -> None:
        self._broker = broker
        self._partitions_count = partitions_count
        self._group = group
        self._consumer = consumer
        self._idle_ms_min = idle_ms_min
        self._mine_after = [START] * partitions_count
        self._made = False

    async def take(self, count_max: int = 100, wait_ms_max: int = 1000) -> list[tuple[int, Entry]]:
        """Left by an earlier self, then left by the dead, then new ones."""
        until_s = asyncio.get_running_loop().time() + wait_ms_max / 1000
        while True:
            for step in (self._mine, self._abandoned, self._new):
                if found := [item for _, item in zip(range(count_max), step(), strict=False)]:
                    return found
            if not await self._broker.wait(until_s):
                return []

    def _groups(self) -> Iterator[tuple[int, MemoryStream, Group]]:
        for partition in range(self._partitions_count):
            at = self._broker[partition]
            stream = at.streams["events"]
            if self._group not in stream.groups:
                stream.groups[self._group] = Group()
                at.counters["recoveries"] += self._made
                self._mine_after[partition] = START
            yield partition, stream, stream.groups[self._group]
        self._made = True

    def _mine(self) -> Iterator[tuple[int, Entry]]:
        for partition, stream, group in self._groups():
            for entry_id in sorted(group.pending, key=entry_order):
                mine = group.pending[entry_id].consumer == self._consumer
                if mine and entry_order(entry_id) > entry_order(self._mine_after[partition]):
                    self._mine_after[partition] = entry_id
                    yield from self._take(partition, stream, group, entry_id)
            self._mine_after[partition] = f"{2**63}-0"  # only what an earlier process left: once

    def _abandoned(self) -> Iterator[tuple[int, Entry]]:
        for partition, stream, group in self._groups():
            for entry_id, pending in list(group.pending.items()):
                if self._broker.now_ms() - pending.taken_at_ms >= self._idle_ms_min:
                    yield from self._take(partition, stream, group, entry_id)

    def _new(self) -> Iterator[tuple[int, Entry]]:
        for partition, stream, group in self._groups():
            for entry in stream.after(group.delivered):
                group.delivered = entry.id
                yield from self._take(partition, stream, group, entry.id)

    def _take(self, partition: int, stream: MemoryStream, group: Group, entry_id: str) -> Iterator[tuple[int, Entry]]:
        entry = stream.find(entry_id)
        if entry is None:
            group.pending.pop(entry_id, None)
            return
        group.pending[entry_id] = Pending(self._consumer, self._broker.now_ms())
        yield partition, entry

    async def acknowledge(self, partition: int, entry_ids: Sequence[str]) -> int:
        """Take entries off the pending list; how many were still on it."""
        group = self._broker[partition].streams["events"].groups.get(self._group, Group())
        return sum(group.pending.pop(entry_id, None) is not None for entry_id in entry_ids)
