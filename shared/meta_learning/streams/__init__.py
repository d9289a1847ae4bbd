"""The port to the event log, and nothing else: adapters are `redis`, `memory`; `embedded` starts a real local server.

A loop belongs to one partition, ``crc32(loop) % partitions``. A partition holds two append-only streams:

- ``feedback``: what comes in (feedback, and commands that must be folded in order with it);
- ``events``: what the system says about it (cycles, promotions, evolutions).

Two ways to read. A **fold** (trainer, monitor) owns a partition, reads its entries in id order from a committed offset,
and commits state, offsets, emitted events and pointers in one atomic step, fenced by an ownership token. A **relay**
(the evolver's) is order-free: a consumer group, where an entry is delivered again until somebody acknowledges it.

```
producer ── append() ──► feedback ──► Fold.read() ──► Fold.commit(state, offsets, emit, pointers) ──► events ──► Relay
```
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from meta_learning.events import Event, FeedbackReceived

StreamName = Literal["feedback", "events"]
START = "0-0"  # the offset before every entry


def partition_of(loop: str, partitions_count: int) -> int:
    """The partition that owns ``loop``: stable over processes, machines and versions.

    >>> partition_of("support", 4)
    1
    """
    return zlib.crc32(loop.encode()) % partitions_count


def entry_order(entry_id: str) -> tuple[int, int]:
    """``"ms-seq"`` as a sortable pair (stream ids do not sort as text).

    >>> entry_order("9-1") < entry_order("10-0")
    True
    """
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream. ``body`` is an encoded event, or whatever somebody wrote there: decode it with care."""

    stream: StreamName
    id: str
    body: bytes
    type: str = ""
    traceparent: str | None = None


class Taken(StrEnum):
    """What became of one piece of feedback at the door."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # the same event_id with the same body, within the identity window
    CONFLICT = "conflict"  # the same event_id with another body
    TOO_MANY_LOOPS = "too_many_loops"  # it would create a loop beyond loops_count_max
    BACK_PRESSURE = "back_pressure"  # the slowest reader lags more than backlog_count_max behind


@dataclass(frozen=True, slots=True)
class Receipt:
    """The broker's answer to one appended event; ``entry_id`` is set when it was accepted, or is known as a duplicate."""

    taken: Taken
    entry_id: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a fold committed last: its state by key (one key a loop, by convention) and the offset of each stream."""

    state: Mapping[str, bytes] = field(default_factory=dict)
    offsets: Mapping[StreamName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic step of a fold. Everything in it takes effect, or (`OwnershipLost`, `BrokerUnavailable`) nothing does.

    ``state``: changed keys only, ``None`` deletes one. ``offsets``: the last entry folded of each stream.
    ``counts``: how many entries of each stream that covers (for lag). ``emit``: events for the partition's ``events`` stream; one
    whose ``event_id`` was emitted before is skipped. ``pointers``: names such as ``model:support`` to version digests.
    ``parked``: entries that could not be read, with the reason; they go to the dead letters.
    """

    state: Mapping[str, bytes | None] = field(default_factory=dict)
    offsets: Mapping[StreamName, str] = field(default_factory=dict)
    counts: Mapping[StreamName, int] = field(default_factory=dict)
    emit: Sequence[Event] = ()
    pointers: Mapping[str, str] = field(default_factory=dict)
    parked: Sequence[tuple[Entry, str]] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that could not be read: where it lay, what it held, who parked it and why. ``id`` is for list and replay."""

    id: str
    source: Entry
    reason: str
    role: str
    parked_at_ms: int


@dataclass(frozen=True, slots=True)
class ReaderLag:
    """How far a reader is behind on one stream of one partition; ``oldest_age_s`` is 0.0 when it is level."""

    role: str
    partition: int
    stream: StreamName
    entries_count: int
    oldest_age_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that the log itself enforces, all inside the atomic append."""

    backlog_count_max: int = 100_000  # accepted but not yet committed by the slowest fold, per partition
    loops_count_max: int = 10_000  # loops in all, spread over the partitions
    identity_window_s: int = 24 * 3600  # how long an event_id is remembered
    dead_ratio_max: float = 0.05  # parked / read of the last dead_window_count entries of a fold that stops it
    dead_window_count: int = 200


DEFAULT_LIMITS = Limits()


class Fold(Protocol):
    """One role's ownership of one partition. Get one from `Log.fold`; it reads nothing before `acquire`."""

    partition: int
    role: str

    async def acquire(self, owner: str, lease_ms: int = 10_000) -> bool:
        """Try to become the owner; False while another owner's lease lives. A new owner fences the old one out."""

    async def renew(self) -> None:
        """Prolong the lease. Raises `OwnershipLost` when a newer owner exists."""

    async def release(self) -> None:
        """Give the lease back (at shutdown), so that the next owner need not wait for it to run out."""

    async def load(self) -> Checkpoint:
        """The last committed state and offsets; reading goes on from there."""

    async def read(self, count_max: int = 500, wait_ms_max: int = 1000) -> list[Entry]:
        """The next entries of the role's streams after what was read before; [] when none came within ``wait_ms_max``.

        Each stream's entries come in id order; between streams no order is promised. After a broker loss, reading goes on by itself.
        """

    async def commit(self, commit: Commit) -> None:
        """Apply ``commit`` atomically.

        Raises:
            OwnershipLost: a newer owner exists; nothing took effect.
            TooManyDeadLetters: more than `Limits.dead_ratio_max` of the last entries were parked; nothing took effect.
            BrokerUnavailable: it is unknown whether it took effect: `load` again and go on from what it says.
        """


class Relay(Protocol):
    """An order-free consumer group over the ``events`` streams of all partitions."""

    async def take(self, count_max: int = 100, wait_ms_max: int = 1000) -> list[tuple[int, Entry]]:
        """New entries, and those that a dead consumer left unacknowledged for ``idle_ms_min``, as (partition, entry).

        A vanished group is made again at the start of the stream.
        """

    async def acknowledge(self, partition: int, entry_ids: Sequence[str]) -> int:
        """Take entries off the pending list; how many were still on it."""


class Log(Protocol):
    """The event log of one deployment."""

    partitions_count: int

    async def start(self) -> None:
        """Connect and settle the layout.

        Raises:
            ConfigurationError: ``partitions_count`` differs from what was stored at first start.
            BrokerUnavailable: the broker does not answer.
        """

    async def close(self) -> None:
        """Close every connection; harmless when called twice."""

    async def ping(self) -> None:
        """Raises `BrokerUnavailable` unless the broker answers and can write."""

    async def append(self, events: Sequence[FeedbackReceived], traceparent: str | None = None) -> list[Receipt]:
        """Take feedback, each item atomically and idempotently; one receipt an item, in order.

        Raises:
            BrokerUnavailable: some items may have been taken; send all again with the same ids.
        """

    async def publish(self, loop: str, events: Sequence[Event], pointers: Mapping[str, str] | None = None) -> int:
        """Say ``events`` on the loop's ``events`` stream and move ``pointers`` with them, atomically and once per event_id.

        Returns how many were new. A call whose events were all said before moves no pointer.
        A pointer's name may leave out the loop: ``prompt`` for ``prompt:support``.
        """

    async def command(self, loop: str, event: Event) -> str:
        """Append a command to the loop's ``feedback`` stream, to be folded in order; its entry id. Once per event_id."""

    async def pointer(self, loop: str, name: str) -> str | None:
        """What ``name`` (say ``model`` or ``prompt``) points to for ``loop`` now."""

    async def loops(self) -> list[str]:
        """All known loops, sorted."""

    def fold(self, role: str, partition: int, streams: Sequence[StreamName] = ("feedback",)) -> Fold:
        """A fold for ``role`` on ``partition`` over ``streams``."""

    def relay(self, group: str, consumer: str, idle_ms_min: int = 30_000) -> Relay:
        """A relay in ``group`` under the stable name ``consumer``."""

    async def lags(self) -> list[ReaderLag]:
        """The lag of every fold that was ever acquired and of every relay's group, for every partition and stream."""

    async def totals(self) -> Mapping[str, int]:
        """Counters since first start (`keys.COUNTERS`), and what lies there now (``kept_feedback``, ``kept_events``, ``dead``).

        They close: ``entries_feedback == accepted + commands + replayed == kept_feedback + trimmed_feedback``,
        ``entries_events == published + emitted``, ``parked == replayed + dead``; unless ``recoveries`` says that something vanished.
        """

    async def dead_letters(self, count_max: int = 100) -> list[DeadLetter]:
        """The oldest dead letters over all partitions."""

    async def replay(self, dead_letter_ids: Sequence[str]) -> int:
        """Append parked entries to their streams again and take them off the dead letters; how many.

        All roles see a replayed entry, also one that could read it the first time.
        """

    async def trimmable(self, partition: int, stream: StreamName) -> str:
        """The smallest offset that every reader of the stream has committed: entries up to it may be archived and trimmed."""

    async def entries(
        self, partition: int, stream: StreamName, after: str = START, count_max: int = 1000
    ) -> list[Entry]:
        """A plain look at a stream (archive, replay, data sets), without any reader's state."""

    async def kept(self, partition: int, stream: StreamName) -> int:
        """How many entries lie in the stream now."""

    async def trim(self, partition: int, stream: StreamName, up_to: str) -> int:
        """Drop the entries up to and including ``up_to``, never past `trimmable`; how many were dropped."""

    async def retire(self, role: str) -> None:
        """Forget a fold's role, or a relay's group, for good: trimming and back-pressure stop waiting for it.

        Its state is dropped. Stop it first: one that still runs finds its ownership lost, and would start again from nothing.
        """
