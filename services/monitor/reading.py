"""From entries to the partition's view: what each kind of entry means, and which must wait for the other stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from meta_learning.errors import MalformedEvent, MetaLearningError
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, PromoteModel, decode
from meta_learning.streams import Entry, Log, entry_order
from services.monitor.folding import Loop, PartitionView
from services.monitor.pairs import Pair

LOOK_UP_COUNT = 1000
LOOK_UP_PAGES_MAX = 50


class Reader:
    """Folds entries into ``view``; entries of ``events`` wait until the feedback that their cycles name has been folded."""

    def __init__(self, source: Log, partition: int, view: PartitionView) -> None:
        self._log = source
        self._partition = partition
        self._view = view
        self._waiting: deque[Entry] = deque()

    async def take(self, entries: Sequence[Entry]) -> None:
        """Fold ``entries``. An empty batch says that both streams are read to their ends: then nothing is worth waiting for."""
        for entry in entries:
            if entry.stream == "feedback":
                self._feedback(entry)
            else:
                self._waiting.append(entry)
        while self._waiting and await self._event(self._waiting[0], is_exhausted=not entries):
            self._waiting.popleft()

    def _feedback(self, entry: Entry) -> None:
        try:
            event = decode(entry.body)
        except MalformedEvent:
            self._view.skip(entry)
            return
        if isinstance(event, FeedbackReceived):
            self._view.feedback(entry, event)
        elif isinstance(event, PromoteModel):
            self._view.passed(entry)  # a command: its effect comes as an event
        else:
            self._view.skip(entry)

    async def _event(self, entry: Entry, is_exhausted: bool) -> bool:
        """Fold one entry of ``events``; False when it has to wait for feedback."""
        try:
            event = decode(entry.body)
            if isinstance(event, CycleCompleted):
                if not (is_exhausted or self._is_ready(event)):
                    return False
                await self._cycle(entry, event)
            elif isinstance(event, Event):
                self._view.event(entry, event, event.loop)  # type: ignore[attr-defined]
        except (MalformedEvent, ValueError) as error:
            self._view.park(entry, reason=str(error))
        return True

    def _is_ready(self, event: CycleCompleted) -> bool:
        return _order(event.last_entry) <= entry_order(self._view.offsets["feedback"])

    async def _cycle(self, entry: Entry, event: CycleCompleted) -> None:
        loop = self._view.loop(event.loop)
        _order(event.first_entry), _order(event.last_entry)
        pairs = loop.pairs.take(event.first_entry, event.last_entry)
        if len(pairs) < event.events_count:
            pairs = await self._looked_up(event) or pairs
        is_whole = len(pairs) == event.events_count
        if is_whole:
            # Off the event loop: scoring a cycle takes tens of milliseconds, and the lease and the page go on meanwhile.
            await asyncio.to_thread(self._observe, loop, event, pairs)
        self._view.cycle(entry, event, is_scored=is_whole)

    @staticmethod
    def _observe(loop: Loop, event: CycleCompleted, pairs: Sequence[Pair]) -> None:
        try:
            loop.watch.observe(event, [pair.exchange for pair in pairs])
        except MetaLearningError as error:
            raise MalformedEvent(f"the cycle cannot be scored: {error}") from error

    async def _looked_up(self, event: CycleCompleted) -> list[Pair]:
        """The cycle's pairs out of the log itself: for those that fell out of the bounds of memory and are not trimmed yet."""
        found: list[Pair] = []
        after, high = _before(event.first_entry), _order(event.last_entry)
        for _ in range(LOOK_UP_PAGES_MAX):
            page = await self._log.entries(self._partition, "feedback", after=after, count_max=LOOK_UP_COUNT)
            inside = [entry for entry in page if entry_order(entry.id) <= high]
            found += [pair for entry in inside if (pair := _pair(entry, event.loop))]
            if len(inside) < LOOK_UP_COUNT:
                break
            after = inside[-1].id
        return found


def _pair(entry: Entry, loop: str) -> Pair | None:
    try:
        event = decode(entry.body)
    except MalformedEvent:
        return None
    if isinstance(event, FeedbackReceived) and event.loop == loop:
        return Pair.of(entry.id, event)
    return None


def _order(entry_id: str) -> tuple[int, int]:
    try:
        return entry_order(entry_id)
    except ValueError:
        raise MalformedEvent(f"{entry_id[:40]!r} is no entry id") from None


def _before(entry_id: str) -> str:
    """The greatest id below ``entry_id``, since the log reads *after* an id."""
    milliseconds, sequence = _order(entry_id)
    if sequence > 0:
        return f"{milliseconds}-{sequence - 1}"
    return f"{max(0, milliseconds - 1)}-{2**64 - 1 if milliseconds else 0}"
