"""`MemoryLog`: the whole port in one process, for tests and for the library without any server. Nothing is durable."""

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
    Taken,
    entry_order,
    partition_of,
)
from meta_learning.streams.entries import checked_offset, located, type_of
from meta_learning.streams.keys import COUNTERS, STREAMS, pointer_name
from meta_learning.streams.memory_broker import MemoryBroker, MemoryStream, Partition
from meta_learning.streams.memory_fold import MemoryFold, once
from meta_learning.streams.memory_relay import MemoryRelay


class MemoryLog:
    """See `meta_learning.streams.Log`. Logs over one ``broker`` see the same streams."""

    def __init__(
        self, partitions_count: int = 4, limits: Limits = DEFAULT_LIMITS, broker: MemoryBroker | None = None
    ) -> None:
        if partitions_count < 1:
            raise ConfigurationError(f"partitions_count is {partitions_count}; at least 1 is needed")
        self.partitions_count = partitions_count
        self.broker = broker or MemoryBroker()
        self._limits = limits

    async def start(self) -> None:
        """Settle the number of partitions."""
        self.broker.check()
        if self.broker.layout is None:
            self.broker.layout = self.partitions_count
        if self.broker.layout != self.partitions_count:
            raise ConfigurationError(
                f"partitions_count is {self.partitions_count}, but this log was laid out with {self.broker.layout} at first start"
            )

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> None:
        """Raises `BrokerUnavailable` while the broker is down."""
        self.broker.check()

    async def append(self, events: Sequence[FeedbackReceived], traceparent: str | None = None) -> list[Receipt]:
        """Take feedback; one receipt an item, in order."""
        receipts = [self._append(event, traceparent) for event in events]
        await self.broker.wake()
        return receipts

    def _append(self, event: FeedbackReceived, traceparent: str | None) -> Receipt:
        at, now_ms = self.broker[self._partition(event.loop)], self.broker.now_ms()
        at.forget(now_ms)
        receipt = self._judge(at, event, now_ms)
        if receipt.taken is Taken.ACCEPTED:
            entry_id = at.streams["feedback"].add(now_ms, type_of(event), event.encode(), traceparent)
            until_ms = now_ms + 1000 * self._limits.identity_window_s
            at.seen[event.loop, event.event_id] = (event.identity(), entry_id, until_ms)
            at.loops.add(event.loop)
            receipt = Receipt(Taken.ACCEPTED, entry_id)
        at.counters[receipt.taken] += 1
        return receipt

    def _judge(self, at: Partition, event: FeedbackReceived, now_ms: int) -> Receipt:
        admitted = self.broker.admitted
        if event.loop not in admitted and len(admitted) >= self._limits.loops_count_max:
            return Receipt(Taken.TOO_MANY_LOOPS)
        admitted.add(event.loop)
        if known := at.seen.get((event.loop, event.event_id)):
            identity, entry_id, _ = known
            same = identity == event.identity()
            return Receipt(Taken.DUPLICATE, entry_id) if same else Receipt(Taken.CONFLICT)
        stream = at.streams["feedback"]
        if stream.added_count - min(stream.committed.values(), default=0) >= self._limits.backlog_count_max:
            return Receipt(Taken.BACK_PRESSURE)
        return Receipt(Taken.ACCEPTED)

    async def publish(self, loop: str, events: Sequence[Event], pointers: Mapping[str, str] | None = None) -> int:
        """Say ``events`` and move ``pointers``, atomically."""
        if pointers and not events:
            raise CallerError("pointers move with an event that says why; none was given")
        at, now_ms = self.broker[self._partition(loop)], self.broker.now_ms()
        added = sum(once(at, at.streams["events"], event, now_ms, self._limits)[1] for event in events)
        at.counters["published"] += added
        if added:
            at.pointers.update({pointer_name(name, loop): value for name, value in (pointers or {}).items()})
        await self.broker.wake()
        return added

    async def command(self, loop: str, event: Event) -> str:
        """Append a command to the loop's ``feedback`` stream; its entry id. Once per event_id."""
        at = self.broker[self._partition(loop)]
        entry_id, is_new = once(at, at.streams["feedback"], event, self.broker.now_ms(), self._limits)
        at.counters["commands"] += is_new
        await self.broker.wake()
        return entry_id

    async def pointer(self, loop: str, name: str) -> str | None:
        """What ``name`` points to for ``loop`` now."""
        return self.broker[self._partition(loop)].pointers.get(pointer_name(name, loop))

    async def loops(self) -> list[str]:
        """All loops with an accepted entry, sorted."""
        return sorted(loop for _, at in self._all() for loop in at.loops)

    def fold(self, role: str, partition: int, streams: Sequence[StreamName] = ("feedback",)) -> MemoryFold:
        """A fold for ``role`` on ``partition`` over ``streams``."""
        return MemoryFold(self.broker, self._checked(partition), role, streams, self._limits)

    def relay(self, group: str, consumer: str, idle_ms_min: int = 30_000) -> MemoryRelay:
        """A relay in ``group`` under the stable name ``consumer``."""
        return MemoryRelay(self.broker, self.partitions_count, group, consumer, idle_ms_min)

    async def lags(self) -> list[ReaderLag]:
        """The lag of every fold and relay."""
        return [
            lag for partition, at in self._all() for name in STREAMS for lag in self._lags(partition, at.streams[name])
        ]

    def _lags(self, partition: int, stream: MemoryStream) -> list[ReaderLag]:
        behind = {role: [entry.id for entry in stream.after(at)] for role, at in sorted(stream.offsets.items())}
        for name, group in stream.groups.items():
            unread = [entry.id for entry in stream.after(group.delivered)]
            behind[name] = sorted({*group.pending, *unread}, key=entry_order)
        return [
            ReaderLag(role, partition, stream.name, len(waiting), self._age_s(waiting))
            for role, waiting in behind.items()
        ]

    def _age_s(self, waiting: Sequence[str]) -> float:
        return max(0, self.broker.now_ms() - entry_order(waiting[0])[0]) / 1000 if waiting else 0.0

    async def totals(self) -> Mapping[str, int]:
        """Counters since first start, and what lies there now."""
        sums = dict.fromkeys((*COUNTERS, "kept_feedback", "kept_events", "dead"), 0)
        for _, at in self._all():
            for name, count in at.counters.items():
                sums[name] += count
            for name in STREAMS:
                sums[f"entries_{name}"] += at.streams[name].added_count
                sums[f"kept_{name}"] += len(at.streams[name].entries)
            sums["dead"] += len(at.dead)
        return sums

    async def dead_letters(self, count_max: int = 100) -> list[DeadLetter]:
        """The oldest dead letters over all partitions."""
        found = [letter for _, at in self._all() for letter in at.dead.values()]
        return sorted(found, key=lambda letter: (letter.parked_at_ms, letter.id))[:count_max]

    async def replay(self, dead_letter_ids: Sequence[str]) -> int:
        """Append parked entries again and take them off the dead letters; unknown ids are passed over."""
        replayed = 0
        for dead_id in dead_letter_ids:
            partition, _ = located(dead_id)
            if 0 <= partition < self.partitions_count:
                at = self.broker[partition]
                letter = at.dead.pop(dead_id, None)
                if letter is not None:
                    source = letter.source
                    stream = at.streams[source.stream]
                    stream.add(self.broker.now_ms(), source.type, source.body, source.traceparent)
                    at.counters["replayed"] += 1
                    replayed += 1
        await self.broker.wake()
        return replayed

    async def trimmable(self, partition: int, stream: StreamName) -> str:
        """The smallest offset that every reader has committed; `START` without readers."""
        return self.broker[self._checked(partition)].streams[stream].trimmable()

    async def entries(
        self, partition: int, stream: StreamName, after: str = START, count_max: int = 1000
    ) -> list[Entry]:
        """A plain look at a stream."""
        return self.broker[self._checked(partition)].streams[stream].after(checked_offset(after), count_max)

    async def kept(self, partition: int, stream: StreamName) -> int:
        """How many entries lie in the stream now."""
        return len(self.broker[self._checked(partition)].streams[stream].entries)

    async def trim(self, partition: int, stream: StreamName, up_to: str) -> int:
        """Drop the entries up to and including ``up_to``, never past `trimmable`."""
        at = self.broker[self._checked(partition)]
        found = at.streams[stream]
        kept = found.after(min(checked_offset(up_to), found.trimmable(), key=entry_order))
        dropped = len(found.entries) - len(kept)
        found.entries = kept
        at.counters["trimmed"] += dropped
        at.counters[f"trimmed_{stream}"] += dropped
        return dropped

    async def retire(self, role: str) -> None:
        """Forget a fold's role, or a relay's group, for good."""
        for _, at in self._all():
            at.states.pop(role, None)
            at.leases.pop(role, None)
            for stream in at.streams.values():
                for readers in (stream.offsets, stream.committed, stream.groups):
                    readers.pop(role, None)

    def _all(self) -> list[tuple[int, Partition]]:
        return [(partition, self.broker[partition]) for partition in range(self.partitions_count)]

    def _partition(self, loop: str) -> int:
        return partition_of(loop, self.partitions_count)

    def _checked(self, partition: int) -> int:
        if not 0 <= partition < self.partitions_count:
            raise CallerError(f"there is no partition {partition}: they run from 0 to {self.partitions_count - 1}")
        return partition
