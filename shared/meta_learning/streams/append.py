"""Appending feedback: batches by partition, in chunks that do not hold the broker for long, receipts in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from meta_learning.events import FeedbackReceived
from meta_learning.streams import Limits, Receipt, Taken
from meta_learning.streams.connection import Connections
from meta_learning.streams.entries import text, type_of
from meta_learning.streams.keys import Keys, loops_key
from meta_learning.streams.scripts import ADMIT, APPEND

CHUNK_COUNT = 500  # about 8 ms of the broker's one thread
Item = tuple[int, FeedbackReceived]


class Door:
    """The append path of a `RedisLog`: admits loops (exactly ``loops_count_max`` in all), then appends.

    Admission lies in a slot of its own, so a new loop costs one more round trip, once a process. A loop that was admitted but
    whose first event was then refused stays admitted; it is listed only once it has an entry.
    """

    def __init__(self, connections: Connections, keys: Mapping[int, Keys], limits: Limits) -> None:
        self._connections = connections
        self._keys = keys
        self._limits = limits
        self._admitted: set[str] = set()

    async def append(self, items: Mapping[int, Sequence[Item]], traceparent: str, prefix: str) -> dict[int, Receipt]:
        """Append ``items`` (by partition, each with its place in the batch); receipts by place."""
        batch = sorted((item for part in items.values() for item in part), key=lambda item: item[0])
        refused = await self._refused(dict.fromkeys(event.loop for _, event in batch), prefix)
        chunks = [(at, list(chunk)) for at, part in items.items() for chunk in chunked(part, CHUNK_COUNT)]
        calls = [self._call(partition, chunk, refused, traceparent) for partition, chunk in chunks]
        receipts: dict[int, Receipt] = {}
        for (_, chunk), reply in zip(chunks, await self._connections.scripts(APPEND, calls), strict=True):
            receipts.update(receipts_of(chunk, refused, reply[1:]))
            if reply[0]:
                # Either these loops are new, or the broker was emptied and has to learn them again: ask next time.
                self._admitted -= {event.loop for _, event in chunk}
        return receipts

    async def _refused(self, loops: Iterable[str], prefix: str) -> set[str]:
        asked = [loop for loop in loops if loop not in self._admitted]
        if not asked:
            return set()
        reply = await self._connections.script(ADMIT, [loops_key(prefix)], [self._limits.loops_count_max, *asked])
        refused = {loop for loop, admitted in zip(asked, reply, strict=True) if not admitted}
        self._admitted.update(set(asked) - refused)
        return refused

    def _call(
        self, partition: int, chunk: Sequence[Item], refused: set[str], traceparent: str
    ) -> tuple[list[str], list[Any]]:
        keys = self._keys[partition]
        taken = [event for _, event in chunk if event.loop not in refused]
        names = [keys.stream("feedback"), keys.counters, keys.loops, keys.committed("feedback")]
        names += [keys.identity(event.loop, event.event_id) for event in taken]
        arguments: list[Any] = [self._limits.backlog_count_max, self._limits.identity_window_s, traceparent]
        arguments.append(len(chunk) - len(taken))
        for event in taken:
            arguments += [event.loop, event.identity(), type_of(event), event.encode()]
        return names, arguments


def receipts_of(chunk: Sequence[Item], refused: set[str], outcomes: Sequence[Any]) -> Iterator[tuple[int, Receipt]]:
    """The receipt of each item of a chunk by its place; ``outcomes`` holds (outcome, entry id) of those not refused."""
    answers = zip(outcomes[::2], outcomes[1::2], strict=True)
    for place, event in chunk:
        if event.loop in refused:
            yield place, Receipt(Taken.TOO_MANY_LOOPS)
        else:
            taken, entry_id = next(answers)
            yield place, Receipt(Taken(text(taken)), text(entry_id) or None)


def chunked(items: Sequence[Item], count: int) -> Iterator[Sequence[Item]]:
    """``items`` in runs of at most ``count``."""
    for start in range(0, len(items), count):
        yield items[start : start + count]
