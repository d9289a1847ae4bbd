"""`MemoryFold`: one role's ownership of one partition, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from meta_learning.errors import OwnershipLost, TooManyDeadLetters
from meta_learning.events import Event
from meta_learning.streams import START, Checkpoint, Commit, DeadLetter, Entry, Limits, StreamName, entry_order
from meta_learning.streams.entries import type_of
from meta_learning.streams.keys import said_window_s
from meta_learning.streams.memory_broker import Lease, MemoryBroker, MemoryStream, Partition
from meta_learning.streams.outcomes import slide, too_many
from meta_learning.streams.position import Position


class MemoryFold:
    """See `meta_learning.streams.Fold`."""

    def __init__(
        self, broker: MemoryBroker, partition: int, role: str, streams: Sequence[StreamName], limits: Limits
    ) -> None:
        self.partition = partition
        self.role = role
        self._broker = broker
        self._streams = tuple(streams)
        self._limits = limits
        self._lease_ms = 10_000
        self._token = ""
        self._position: Position | None = None

    async def acquire(self, owner: str, lease_ms: int = 10_000) -> bool:
        """Try to become the owner; the same owner's name takes over at once."""
        at, now_ms = self._broker[self.partition], self._broker.now_ms()
        lease = at.leases.setdefault(self.role, Lease())
        if lease.owner not in ("", owner) and lease.expires_ms > now_ms:
            return False
        self._token = lease.token = str(next(self._broker.tokens))
        lease.owner, lease.expires_ms = owner, now_ms + lease_ms
        self._lease_ms, self._position = lease_ms, None
        for name in self._streams:
            stream = at.streams[name]
            stream.offsets.setdefault(self.role, START)
            stream.committed.setdefault(self.role, stream.added_count - len(stream.entries))
        return True

    async def renew(self) -> None:
        """Prolong the lease."""
        self._prolong(self._mine())

    async def release(self) -> None:
        """Give the lease back; harmless without one."""
        token, self._token, self._position = self._token, "", None
        lease = self._broker[self.partition].leases.get(self.role)
        if lease is not None and token and lease.token == token:
            lease.owner, lease.expires_ms = "", 0

    async def load(self) -> Checkpoint:
        """The last committed state and offsets."""
        self._owned()
        at = self._broker[self.partition]
        offsets = {name: at.streams[name].offsets.get(self.role, START) for name in self._streams}
        self._position = Position(offsets)
        return Checkpoint(state=dict(at.states.get(self.role, {})), offsets=offsets)

    async def read(self, count_max: int = 500, wait_ms_max: int = 1000) -> list[Entry]:
        """The next entries, in id order within each stream; [] when none came in time."""
        self._owned()
        if self._position is None:
            await self.load()
        position = self._position
        assert position is not None
        until_s = asyncio.get_running_loop().time() + wait_ms_max / 1000
        while True:
            streams, count = self._broker[self.partition].streams, max(1, count_max // len(self._streams))
            found = [entry for name in self._streams for entry in streams[name].after(position.read[name], count)]
            if found or not await self._broker.wait(until_s):
                break
        for entry in found:
            position.passed(entry)
        return found

    async def commit(self, commit: Commit) -> None:
        """Apply ``commit`` atomically; raises as `RedisFold.commit` does."""
        lease, position = self._mine(), self._position or Position({})
        counts = position.counts(commit)
        window = slide(lease.window, sum(counts.values()), len(commit.parked), self._limits)
        if commit.parked and too_many(window, self._limits):
            raise TooManyDeadLetters(
                f"{self.role} on partition {self.partition} could not read {window.count('x')} of its last "
                f"{len(window)} entries, more than {self._limits.dead_ratio_max:.0%}; latest: {commit.parked[-1][1]}"
            )
        at = self._broker[self.partition]
        self._prolong(lease)
        lease.window = window
        self._apply_state(at, commit.state)
        self._apply_offsets(at, commit, counts)
        at.counters["emitted"] += say(at, "events", commit, self._broker.now_ms(), self._limits)
        at.pointers.update(commit.pointers)
        for entry, reason in commit.parked:
            park(at, entry, reason, self.role, (self.partition, self._broker.now_ms()))
        for name, offset in commit.offsets.items():
            position.committed(name, offset)
        await self._broker.wake()

    def _apply_state(self, at: Partition, changes: Mapping[str, bytes | None]) -> None:
        state = at.states.setdefault(self.role, {})
        for key, value in changes.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value

    def _apply_offsets(self, at: Partition, commit: Commit, counts: Mapping[StreamName, int]) -> None:
        for name, offset in commit.offsets.items():
            stream = at.streams[name]
            done = stream.committed.get(self.role, 0) + counts[name]
            at_end = entry_order(offset) >= stream.last
            stream.offsets[self.role] = offset
            stream.committed[self.role] = stream.added_count if at_end else min(done, stream.added_count)

    def _owned(self) -> None:
        if not self._token:
            raise OwnershipLost(f"{self.role} does not own partition {self.partition}: acquire it first")

    def _mine(self) -> Lease:
        self._owned()
        at = self._broker[self.partition]
        lease = at.leases.get(self.role)
        if lease is None:
            at.leases[self.role] = Lease()
            at.counters["recoveries"] += 1
        if lease is None or lease.token != self._token:
            self._token, self._position = "", None
            raise OwnershipLost(f"another owner of {self.role} on partition {self.partition} took over")
        return lease

    def _prolong(self, lease: Lease) -> None:
        lease.expires_ms = self._broker.now_ms() + self._lease_ms


def say(at: Partition, stream: StreamName, commit: Commit, now_ms: int, limits: Limits) -> int:
    """Emit the commit's events, each once; how many were new."""
    return sum(once(at, at.streams[stream], event, now_ms, limits)[1] for event in commit.emit)


def once(at: Partition, stream: MemoryStream, event: Event, now_ms: int, limits: Limits) -> tuple[str, bool]:
    """Append ``event`` unless it was within the window; its entry id, and whether it is new."""
    at.forget(now_ms)
    if known := at.said.get((stream.name, event.event_id)):
        return known[0], False
    entry_id = stream.add(now_ms, type_of(event), event.encode(), None)
    at.said[stream.name, event.event_id] = (entry_id, now_ms + 1000 * said_window_s(limits))
    return entry_id, True


def park(at: Partition, entry: Entry, reason: str, role: str, where: tuple[int, int]) -> None:
    """Put ``entry`` on the dead letters, once for all roles; ``where`` is (partition, now_ms)."""
    if any((letter.source.stream, letter.source.id) == (entry.stream, entry.id) for letter in at.dead.values()):
        return
    partition, now_ms = where
    at.dead_last = (now_ms, 0) if now_ms > at.dead_last[0] else (at.dead_last[0], at.dead_last[1] + 1)
    dead_id = f"{partition}/{at.dead_last[0]}-{at.dead_last[1]}"
    at.dead[dead_id] = DeadLetter(dead_id, entry, reason, role, now_ms)
    at.counters["parked"] += 1
