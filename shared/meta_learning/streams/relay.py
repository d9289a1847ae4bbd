"""`RedisRelay`: an order-free consumer group over the ``events`` streams of all partitions, on Redis.

At least once: an entry comes again until it is acknowledged, so what is done with it must be harmless twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions

from meta_learning.streams import START, Entry
from meta_learning.streams.connection import Connections
from meta_learning.streams.entries import entry_from, text
from meta_learning.streams.fold import BLOCK_MS_MAX, pairs
from meta_learning.streams.keys import Keys
from meta_learning.streams.scripts import GROUP


class RedisRelay:
    """See `meta_learning.streams.Relay`. Not for use by several tasks at once.

    At its first `take` it gets back what an earlier process under the same name left unacknowledged; what *other*
    consumers left is looked for every ``idle_ms_min / 4``.
    """

    def __init__(
        self,
        connections: Connections,
        keys: Sequence[Keys],
        group: str,
        consumer: str,
        idle_ms_min: int,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self._connections = connections
        self._keys = {key.stream("events"): key for key in keys}
        self._group = group
        self._consumer = consumer
        self._idle_ms_min = idle_ms_min
        self._now_s = now_s or (lambda: asyncio.get_running_loop().time())
        self._grouped = False
        self._mine_after: dict[str, str] = dict.fromkeys(self._keys, START)
        self._claim_from: dict[str, str] = dict.fromkeys(self._keys, START)
        self._claim_at_s = float("-inf")

    async def take(self, count_max: int = 100, wait_ms_max: int = 1000) -> list[tuple[int, Entry]]:
        """Left by an earlier self, then left by the dead, then new ones."""
        deadline = self._now_s() + wait_ms_max / 1000
        while True:
            left_ms = int(1000 * (deadline - self._now_s()))
            try:
                found = await self._take_once(count_max, left_ms)
            except exceptions.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self._regroup(lost=True)
                continue
            if found or left_ms <= BLOCK_MS_MAX:
                return found

    async def _take_once(self, count_max: int, wait_ms: int) -> list[tuple[int, Entry]]:
        if not self._grouped:
            await self._regroup(lost=False)
        found = await self._take_mine(count_max) or await self._take_abandoned(count_max)
        return found or await self._take_new(count_max, wait_ms)

    async def _regroup(self, lost: bool) -> None:
        for stream, keys in self._keys.items():
            if await self._connections.script(GROUP, [stream, keys.counters], [self._group, int(lost)]):
                self._mine_after[stream] = START
        self._grouped = True

    async def _take_mine(self, count_max: int) -> list[tuple[int, Entry]]:
        found: list[tuple[int, Entry]] = []
        for stream, after in list(self._mine_after.items()):
            if len(found) >= count_max:
                break
            head = ["XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count_max - len(found)]
            entries = self._entries(await self._connections.command(*head, "STREAMS", stream, after))
            if entries:
                self._mine_after[stream] = entries[-1][1].id
            else:
                del self._mine_after[stream]
            found += entries
        return found

    async def _take_abandoned(self, count_max: int) -> list[tuple[int, Entry]]:
        """One step of the sweep over the pending lists; its cursor goes on at the next call until it is through."""
        if self._now_s() < self._claim_at_s:
            return []
        found: list[tuple[int, Entry]] = []
        for stream, keys in self._keys.items():
            head = ["XAUTOCLAIM", stream, self._group, self._consumer, self._idle_ms_min, self._claim_from[stream]]
            reply = await self._connections.command(*head, "COUNT", count_max)
            self._claim_from[stream] = text(reply[0])
            found += [(keys.partition, entry_from("events", at, fields)) for at, fields in reply[1] if fields]
        if all(cursor == START for cursor in self._claim_from.values()):
            self._claim_at_s = self._now_s() + self._idle_ms_min / 4000
        return found

    async def _take_new(self, count_max: int, wait_ms: int) -> list[tuple[int, Entry]]:
        head = ["XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", max(1, count_max // len(self._keys))]
        tail = ["STREAMS", *self._keys, *(">" for _ in self._keys)]
        wait_ms = min(wait_ms, BLOCK_MS_MAX)
        if wait_ms <= 0:
            return self._entries(await self._connections.command(*head, *tail))
        return self._entries(await self._connections.wait(wait_ms, *head, "BLOCK", wait_ms, *tail))

    def _entries(self, reply: Any) -> list[tuple[int, Entry]]:
        # An entry that was trimmed while it was pending comes without fields; there is nothing left to relay.
        return [
            (self._keys[text(key)].partition, entry_from("events", at, fields))
            for key, found in pairs(reply)
            for at, fields in found
            if fields
        ]

    async def acknowledge(self, partition: int, entry_ids: Sequence[str]) -> int:
        """Take entries off the pending list; how many were still on it."""
        stream = next(stream for stream, keys in self._keys.items() if keys.partition == partition)
        if not entry_ids:
            return 0
        return int(await self._connections.command("XACK", stream, self._group, *entry_ids))
