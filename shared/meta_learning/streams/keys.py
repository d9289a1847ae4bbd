"""Where everything lies in Redis: one slot a partition, so that whatever must be atomic can be.

>>> Keys("meta_learning", 3).stream("feedback")
'meta_learning:{p3}:feedback'
"""

from __future__ import annotations

from dataclasses import dataclass

from meta_learning.streams import Limits, StreamName

STREAMS: tuple[StreamName, ...] = ("feedback", "events")
COUNTERS = (
    "accepted",
    "duplicate",
    "conflict",
    "back_pressure",
    "too_many_loops",
    "commands",
    "published",
    "emitted",
    "parked",
    "replayed",
    "trimmed",
    "trimmed_feedback",
    "trimmed_events",
    "recoveries",
    "entries_feedback",
    "entries_events",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one partition; the hash tag ``{p3}`` keeps them on one node of a Redis Cluster."""

    prefix: str
    partition: int

    def _key(self, *names: str) -> str:
        return ":".join((self.prefix, f"{{p{self.partition}}}", *names))

    def stream(self, name: StreamName) -> str:
        """Stream: the entries themselves."""
        return self._key(name)

    def offsets(self, name: StreamName) -> str:
        """Hash role -> last committed entry id of a stream: who reads it, and how far behind trimming must stay."""
        return self._key("offsets", name)

    def committed(self, name: StreamName) -> str:
        """Hash role -> how many entries of a stream its fold has committed: the other half of the lag."""
        return self._key("committed", name)

    @property
    def counters(self) -> str:
        """Hash of totals since first start, with the last entry id of each stream."""
        return self._key("counters")

    @property
    def loops(self) -> str:
        """Set of the loops that have at least one accepted entry here."""
        return self._key("loops")

    @property
    def pointers(self) -> str:
        """Hash ``model:support`` -> version digest."""
        return self._key("pointers")

    @property
    def dead(self) -> str:
        """Stream of the dead letters."""
        return self._key("dead")

    @property
    def dead_sources(self) -> str:
        """Hash ``feedback/1-0`` -> dead letter id: an entry that two roles could not read is one dead letter."""
        return self._key("dead_sources")

    def identity(self, loop: str, event_id: str) -> str:
        """String with a TTL: the identity digest and entry id of accepted feedback."""
        return self._key("seen", loop, event_id)

    def said(self, stream: StreamName, event_id: str) -> str:
        """String with a TTL: the entry id under which an event was emitted, published or commanded."""
        return self._key("said", stream, event_id)

    def lease(self, role: str) -> str:
        """Hash of one fold: who owns it, until when, its fencing token, and its window of outcomes."""
        return self._key("lease", role)

    def state(self, role: str) -> str:
        """Hash of one fold's committed state."""
        return self._key("state", role)


def layout_key(prefix: str) -> str:
    """String: the number of partitions, settled at first start."""
    return f"{prefix}:layout"


def loops_key(prefix: str) -> str:
    """Set: all loops ever admitted; one key for all partitions, so that ``loops_count_max`` is exact."""
    return f"{prefix}:loops"


def alive_key(prefix: str) -> str:
    """String: what `Log.ping` writes to see that the broker can write."""
    return f"{prefix}:alive"


def said_window_s(limits: Limits) -> int:
    """How long the id of an emitted, published or commanded event is remembered: a week, or the identity window if longer.

    A fold needs none of it (its offset moves with what it emits); it is for those who publish from outside.
    """
    return max(7 * 24 * 3600, limits.identity_window_s)


def pointer_name(name: str, loop: str) -> str:
    """A pointer's full name.

    >>> pointer_name("model", "support"), pointer_name("model:support", "support")
    ('model:support', 'model:support')
    """
    return name if ":" in name else f"{name}:{loop}"
