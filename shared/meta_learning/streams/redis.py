"""`RedisLog`: the event log on Redis 7.0 or later, or Valkey: one server, its replicas, or the embedded one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meta_learning.errors import CallerError, ConfigurationError
from meta_learning.events import Event, FeedbackReceived
from meta_learning.streams import (
    DEFAULT_LIMITS,
    START,
    DeadLetter,
    Entry,
    Limits,
    ReaderLag,
    Receipt,
    StreamName,
    partition_of,
    statistics,
)
from meta_learning.streams.append import Door, Item
from meta_learning.streams.connection import Connections
from meta_learning.streams.entries import checked_offset, entry_from, located, text, type_of
from meta_learning.streams.fold import RedisFold
from meta_learning.streams.keys import STREAMS, Keys, alive_key, layout_key, pointer_name, said_window_s
from meta_learning.streams.relay import RedisRelay
from meta_learning.streams.scripts import REPLAY, SAY, TRIM, UNGROUP


class RedisLog:
    """See `meta_learning.streams.Log`. ``url``: ``redis://``, ``rediss://`` or ``unix://``."""

    def __init__(
        self, url: str, partitions_count: int = 4, limits: Limits = DEFAULT_LIMITS, prefix: str = "meta_learning"
    ) -> None:
        if partitions_count < 1:
            raise ConfigurationError(f"partitions_count is {partitions_count}; at least 1 is needed")
        self.partitions_count = partitions_count
        self._limits = limits
        self._prefix = prefix
        self._keys = [Keys(prefix, partition) for partition in range(partitions_count)]
        self._connections = Connections(url)
        self._door = Door(self._connections, dict(enumerate(self._keys)), limits)

    async def start(self) -> None:
        """Connect, and settle the number of partitions."""
        key = layout_key(self._prefix)
        await self._connections.command("SET", key, self.partitions_count, "NX")
        stored = int(await self._connections.command("GET", key) or self.partitions_count)
        if stored != self.partitions_count:
            raise ConfigurationError(
                f"partitions_count is {self.partitions_count}, but this log was laid out with {stored} at first start"
            )

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()

    async def ping(self) -> None:
        """Raises `BrokerUnavailable` unless the broker answers and can write."""
        await self._connections.command("SET", alive_key(self._prefix), "1", "EX", 60)

    async def append(self, events: Sequence[FeedbackReceived], traceparent: str | None = None) -> list[Receipt]:
        """Take feedback, each item atomically and idempotently; one receipt an item, in order."""
        parts: dict[int, list[Item]] = {}
        for item in enumerate(events):
            parts.setdefault(self._partition(item[1].loop), []).append(item)
        receipts = await self._door.append(parts, traceparent or "", self._prefix)
        return [receipts[place] for place in range(len(events))]

    async def publish(self, loop: str, events: Sequence[Event], pointers: Mapping[str, str] | None = None) -> int:
        """Say ``events`` and move ``pointers``, atomically. A pointer's name may leave out the loop: ``prompt``."""
        if pointers and not events:
            raise CallerError("pointers move with an event that says why; none was given")
        named = {pointer_name(name, loop): value for name, value in (pointers or {}).items()}
        added, *_ = await self._say(loop, "events", "published", events, named)
        return int(added)

    async def command(self, loop: str, event: Event) -> str:
        """Append a command to the loop's ``feedback`` stream; its entry id. Once per event_id."""
        _, entry_id = await self._say(loop, "feedback", "commands", [event], {})
        return text(entry_id)

    async def _say(
        self, loop: str, stream: StreamName, counter: str, events: Sequence[Event], pointers: Mapping[str, str]
    ) -> list[bytes]:
        keys = self._keys[self._partition(loop)]
        names = [keys.stream(stream), keys.counters, keys.pointers]
        names += [keys.said(stream, event.event_id) for event in events]
        arguments: list[str | bytes | int] = [stream, counter, said_window_s(self._limits), len(events)]
        for event in events:
            arguments += [type_of(event), event.encode()]
        for name, value in pointers.items():
            arguments += [name, value]
        return list(await self._connections.script(SAY, names, arguments))

    async def pointer(self, loop: str, name: str) -> str | None:
        """What ``name`` points to for ``loop`` now."""
        pointers = self._keys[self._partition(loop)].pointers
        value = await self._connections.command("HGET", pointers, pointer_name(name, loop))
        return None if value is None else text(value)

    async def loops(self) -> list[str]:
        """All loops with an accepted entry, sorted."""
        replies = await self._connections.all([["SMEMBERS", keys.loops] for keys in self._keys])
        return sorted(text(loop) for reply in replies for loop in reply)

    def fold(self, role: str, partition: int, streams: Sequence[StreamName] = ("feedback",)) -> RedisFold:
        """A fold for ``role`` on ``partition`` over ``streams``."""
        return RedisFold(self._connections, self._at(partition), role, streams, self._limits)

    def relay(self, group: str, consumer: str, idle_ms_min: int = 30_000) -> RedisRelay:
        """A relay in ``group`` under the stable name ``consumer``."""
        return RedisRelay(self._connections, self._keys, group, consumer, idle_ms_min)

    async def lags(self) -> list[ReaderLag]:
        """The lag of every fold and relay."""
        return await statistics.lags(self._connections, self._keys)

    async def totals(self) -> Mapping[str, int]:
        """Counters since first start, and what lies there now; `keys.COUNTERS` names them."""
        return await statistics.totals(self._connections, self._keys)

    async def dead_letters(self, count_max: int = 100) -> list[DeadLetter]:
        """The oldest dead letters over all partitions."""
        return await statistics.dead_letters(self._connections, self._keys, count_max)

    async def replay(self, dead_letter_ids: Sequence[str]) -> int:
        """Append parked entries again and take them off the dead letters; unknown ids are passed over."""
        parts: dict[int, list[str]] = {}
        for partition, dead_id in map(located, dead_letter_ids):
            if 0 <= partition < self.partitions_count:
                parts.setdefault(partition, []).append(dead_id)
        replayed = 0
        for partition, dead_ids in parts.items():
            keys = self._keys[partition]
            names = [keys.dead, keys.dead_sources, keys.counters, keys.stream("feedback"), keys.stream("events")]
            replayed += int(await self._connections.script(REPLAY, names, dead_ids))
        return replayed

    async def trimmable(self, partition: int, stream: StreamName) -> str:
        """The smallest offset that every reader has committed; `START` without readers."""
        low, _ = await self._trim(partition, stream, "")
        return text(low)

    async def entries(
        self, partition: int, stream: StreamName, after: str = START, count_max: int = 1000
    ) -> list[Entry]:
        """A plain look at a stream."""
        key = self._at(partition).stream(stream)
        found = await self._connections.command("XRANGE", key, f"({checked_offset(after)}", "+", "COUNT", count_max)
        return [entry_from(stream, entry_id, fields) for entry_id, fields in found]

    async def kept(self, partition: int, stream: StreamName) -> int:
        """How many entries lie in the stream now."""
        return int(await self._connections.command("XLEN", self._at(partition).stream(stream)))

    async def trim(self, partition: int, stream: StreamName, up_to: str) -> int:
        """Drop the entries up to and including ``up_to``, never past `trimmable`."""
        _, dropped = await self._trim(partition, stream, checked_offset(up_to))
        return int(dropped)

    async def _trim(self, partition: int, stream: StreamName, up_to: str) -> tuple[bytes, int]:
        keys = self._at(partition)
        names = [keys.stream(stream), keys.counters, keys.offsets(stream)]
        low, dropped = await self._connections.script(TRIM, names, [stream, up_to])
        return low, dropped

    async def retire(self, role: str) -> None:
        """Forget a fold's role, or a relay's group, for good: its state is dropped, and nothing waits for it any more."""
        for keys in self._keys:
            commands = [["DEL", keys.state(role), keys.lease(role)]]
            commands += [
                ["HDEL", hash_key(name), role] for name in STREAMS for hash_key in (keys.offsets, keys.committed)
            ]
            await self._connections.all(commands, atomic=True)
            await self._connections.script(UNGROUP, [keys.stream("events")], [role])

    def _partition(self, loop: str) -> int:
        return partition_of(loop, self.partitions_count)

    def _at(self, partition: int) -> Keys:
        if not 0 <= partition < self.partitions_count:
            raise CallerError(f"there is no partition {partition}: they run from 0 to {self.partitions_count - 1}")
        return self._keys[partition]
