"""`RedisFold`: one role's ownership of one partition, on Redis. Plain ordered reading; every step is fenced."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from meta_learning.errors import OwnershipLost, TooManyDeadLetters
from meta_learning.streams import START, Checkpoint, Commit, Entry, Limits, StreamName
from meta_learning.streams.connection import Connections
from meta_learning.streams.entries import entry_from, text, type_of
from meta_learning.streams.fold_scripts import ACQUIRE, COMMIT, RELEASE, RENEW
from meta_learning.streams.keys import STREAMS, Keys, said_window_s
from meta_learning.streams.outcomes import slide, too_many
from meta_learning.streams.position import Position

BLOCK_MS_MAX = 1000  # one blocking read; a longer wait is several of them, so that closing need not wait for it


class RedisFold:
    """See `meta_learning.streams.Fold`. Not for use by several tasks at once."""

    def __init__(
        self, connections: Connections, keys: Keys, role: str, streams: Sequence[StreamName], limits: Limits
    ) -> None:
        self.partition = keys.partition
        self.role = role
        self._connections = connections
        self._keys = keys
        self._streams = tuple(streams)
        self._limits = limits
        self._lease_ms = 10_000
        self._token = ""
        self._window = ""
        self._position: Position | None = None

    async def acquire(self, owner: str, lease_ms: int = 10_000) -> bool:
        """Try to become the owner. The same owner's name takes over at once: it is a restart, and fences the older one out."""
        keys = [self._keys.lease(self.role), self._keys.counters]
        for name in self._streams:
            keys += [self._keys.stream(name), self._keys.offsets(name), self._keys.committed(name)]
        arguments: list[str | bytes | int] = [self.role, owner, lease_ms, uuid.uuid4().hex, *self._streams]
        token = text(await self._connections.script(ACQUIRE, keys, arguments))
        if token:
            self._token, self._lease_ms, self._position = token, lease_ms, None
        return bool(token)

    async def renew(self) -> None:
        """Prolong the lease."""
        keys = [self._keys.lease(self.role), self._keys.counters]
        self._settle(await self._connections.script(RENEW, keys, [self._owned(), self._lease_ms]))

    async def release(self) -> None:
        """Give the lease back; harmless without one."""
        token, self._token, self._position = self._token, "", None
        if token:
            await self._connections.script(RELEASE, [self._keys.lease(self.role)], [token])

    async def load(self) -> Checkpoint:
        """The last committed state and offsets."""
        self._owned()
        commands: list[list[str]] = [
            ["HGETALL", self._keys.state(self.role)],
            ["HGET", self._keys.lease(self.role), "window"],
        ]
        commands += [["HGET", self._keys.offsets(name), self.role] for name in self._streams]
        state, window, *found = await self._connections.all(commands, atomic=True)
        offsets = {name: text(at or START) for name, at in zip(self._streams, found, strict=True)}
        self._window = text(window or "")
        self._position = Position(offsets)
        return Checkpoint(state={text(key): value for key, value in state.items()}, offsets=offsets)

    async def read(self, count_max: int = 500, wait_ms_max: int = 1000) -> list[Entry]:
        """The next entries, in id order within each stream; [] when none came in time."""
        self._owned()
        if self._position is None:
            await self.load()
        position = self._position
        assert position is not None
        deadline = asyncio.get_running_loop().time() + wait_ms_max / 1000
        while True:
            left_ms = int(1000 * (deadline - asyncio.get_running_loop().time()))
            found = await self._read_once(position, max(1, count_max // len(self._streams)), left_ms)
            if found or left_ms <= BLOCK_MS_MAX:
                return found

    async def _read_once(self, position: Position, count: int, wait_ms: int) -> list[Entry]:
        names = {self._keys.stream(name): name for name in self._streams}
        tail = ["STREAMS", *names, *(position.read[name] for name in names.values())]
        wait_ms = min(wait_ms, BLOCK_MS_MAX)
        if wait_ms <= 0:
            reply: Any = await self._connections.command("XREAD", "COUNT", count, *tail)
        else:
            reply = await self._connections.wait(wait_ms, "XREAD", "COUNT", count, "BLOCK", wait_ms, *tail)
        entries = [entry_from(names[text(key)], at, fields) for key, found in pairs(reply) for at, fields in found]
        for entry in entries:
            position.passed(entry)
        return entries

    async def commit(self, commit: Commit) -> None:
        """Apply ``commit`` atomically.

        Raises:
            OwnershipLost: a newer owner exists; nothing took effect.
            TooManyDeadLetters: the limit on parked entries would be passed; nothing took effect.
            BrokerUnavailable: it is unknown whether it took effect.
        """
        position = self._position or Position({})
        counts = position.counts(commit)
        window = slide(self._window, sum(counts.values()), len(commit.parked), self._limits)
        if commit.parked and too_many(window, self._limits):
            raise TooManyDeadLetters(
                f"{self.role} on partition {self.partition} could not read {window.count('x')} of its last "
                f"{len(window)} entries, more than {self._limits.dead_ratio_max:.0%}; latest: {commit.parked[-1][1]}"
            )
        arguments: list[str | bytes | int] = [
            self._owned(),
            self._lease_ms,
            self.role,
            window,
            said_window_s(self._limits),
        ]
        arguments += commit_sections(commit, counts)
        self._settle(await self._connections.script(COMMIT, self._commit_keys(commit), arguments))
        self._window = window
        for name, offset in commit.offsets.items():
            position.committed(name, offset)

    def _commit_keys(self, commit: Commit) -> list[str]:
        keys = self._keys
        readers = chain.from_iterable((keys.offsets(name), keys.committed(name)) for name in STREAMS)
        emitted = (keys.said("events", event.event_id) for event in commit.emit)
        named = [keys.counters, keys.state(self.role), keys.stream("events"), keys.pointers]
        return [keys.lease(self.role), *named, keys.dead, keys.dead_sources, *readers, *emitted]

    def _owned(self) -> str:
        if not self._token:
            raise OwnershipLost(f"{self.role} does not own partition {self.partition}: acquire it first")
        return self._token

    def _settle(self, held: int) -> None:
        if not held:
            self._token, self._position = "", None
            raise OwnershipLost(f"another owner of {self.role} on partition {self.partition} took over")


def commit_sections(commit: Commit, counts: Mapping[StreamName, int]) -> list[str | bytes | int]:
    """The five counted sections of the commit script's arguments, in its order."""
    sections: list[list[tuple[str | bytes | int, ...]]] = [
        [(key, 0 if value is None else 1, value or b"") for key, value in commit.state.items()],
        [(name, offset, counts[name]) for name, offset in commit.offsets.items()],
        [(type_of(event), event.encode()) for event in commit.emit],
        list(commit.pointers.items()),
        [
            (entry.stream, entry.id, entry.type, entry.body, entry.traceparent or "", reason)
            for entry, reason in commit.parked
        ],
    ]
    return [argument for section in sections for argument in (len(section), *chain.from_iterable(section))]


def pairs(reply: Any) -> Any:
    """(key, entries) of a reply to XREAD, which is a list of pairs, a mapping, or nothing."""
    return reply.items() if isinstance(reply, Mapping) else (reply or [])
