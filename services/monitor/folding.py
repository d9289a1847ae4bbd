"""One partition's memory: which entries were folded, into which loops, and what of it the next commit has to write.

State keys in the checkpoint, four a loop so that a commit writes only what changed:

| key | holds | changes with |
|---|---|---|
| ``support`` | `LoopState` as JSON | every entry of the loop |
| ``support:pairs`` | feedback that no cycle has claimed yet | feedback and cycles |
| ``support:watch`` | the loop's `LoopMonitor`, but for its text references | cycles |
| ``support:references`` | those references (0.2 MB at most), which stay the same once they are full | the first cycles |
| ``_partition`` | counts of entries that could not be read | such entries |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError

from meta_learning.clrs import Exchange
from meta_learning.errors import MalformedState
from meta_learning.events import CycleCompleted, Event, FeedbackReceived
from meta_learning.registry import digest_of
from meta_learning.streams import START, Checkpoint, Commit, Entry, StreamName
from services.monitor.pairs import Pair, WaitingPairs
from services.monitor.state import LoopState

PARTITION_KEY = "_partition"


class Watch(Protocol):
    """Drift, alignment and coherence of one loop: `meta_learning.clrs.LoopMonitor`."""

    def observe(self, cycle: CycleCompleted, exchanges: Sequence[Exchange]) -> None:
        """Fold one cycle and the feedback it trained on."""

    def summary(self) -> dict[str, Any]:
        """The scores, in the shape of ``ClosedLoopSystem.get_system_summary()``."""

    def split(self) -> tuple[bytes, bytes]:
        """The state, and apart from it what rarely changes."""


@dataclass(frozen=True, slots=True)
class Watches:
    """How to make a new watch and how to read one back."""

    new: Callable[[], Watch]
    joined: Callable[[bytes, bytes], Watch]


@dataclass(frozen=True, slots=True)
class FoldLimits:
    """The memory price of a loop, and the pace of the fold."""

    pairs_count_max: int = 2_000
    pairs_bytes_max: int = 4 * 1024 * 1024
    batch_count_max: int = 500
    linger_s: float = 0.2  # a trickle of single events is committed about five times a second, not once each


class Loop:
    """One loop in memory: its records, its waiting pairs, its watch, and the watch's last word."""

    def __init__(self, state: LoopState, pairs: WaitingPairs, watch: Watch) -> None:
        self.state = state
        self.pairs = pairs
        self.watch = watch
        self.scores = watch.summary()
        self.references_digest = ""

    def observed(self, event: CycleCompleted, is_scored: bool) -> None:
        """Record a cycle that the watch has just folded (or could not, for want of its texts), with the scores after it."""
        self.scores = self.watch.summary()
        self.state.fold(event)
        self.state.unscored_count += not is_scored
        last = self.state.cycles[-1]
        last.drift, last.alignment, last.coherence = (
            current(self.scores, name) for name in ("drift", "alignment", "coherence")
        )


def current(scores: dict[str, Any], name: str) -> float | None:
    """The current value of one score of a summary, None while it means nothing yet."""
    value = (scores.get(name) or {}).get("current")
    return None if value is None else float(value)


@dataclass
class Unreadable:
    """Entries of the partition that were no events: the trainer parks those of ``feedback``, the monitor those of ``events``."""

    skipped_count: int = 0
    parked_count: int = 0


@dataclass
class _Uncommitted:
    keys: set[str] = field(default_factory=set)
    counts: dict[StreamName, int] = field(default_factory=dict)
    parked: list[tuple[Entry, str]] = field(default_factory=list)


class PartitionView:
    """The loops of one partition at the offsets that were folded."""

    def __init__(self, watches: Watches, limits: FoldLimits) -> None:
        self._watches = watches
        self._limits = limits
        self.loops: dict[str, Loop] = {}
        self.offsets: dict[StreamName, str] = {"feedback": START, "events": START}
        self.unreadable = Unreadable()
        self._uncommitted = _Uncommitted()

    @classmethod
    def load(cls, checkpoint: Checkpoint, watches: Watches, limits: FoldLimits) -> PartitionView:
        """The view as it was committed.

        Raises:
            MalformedState: the checkpoint was not written by a monitor.
        """
        view = cls(watches, limits)
        view.offsets.update(checkpoint.offsets)
        try:
            view._fill(checkpoint)
        except (ValidationError, ValueError, TypeError) as error:
            raise MalformedState(f"the monitor's checkpoint cannot be read back: {type(error).__name__}") from error
        return view

    def _fill(self, checkpoint: Checkpoint) -> None:
        for key, value in checkpoint.state.items():
            if key == PARTITION_KEY:
                self.unreadable = Unreadable(**json.loads(value))
            elif ":" not in key:
                watch, references = checkpoint.state.get(f"{key}:watch"), checkpoint.state.get(f"{key}:references", b"")
                made = self._watches.new() if watch is None else self._watches.joined(watch, references)
                self.loops[key] = loop = self._loop(LoopState.model_validate_json(value), made)
                loop.references_digest = digest_of(references)
                if (waiting := checkpoint.state.get(f"{key}:pairs")) is not None:
                    loop.pairs.fill(waiting)

    def _loop(self, state: LoopState, watch: Watch) -> Loop:
        return Loop(state, WaitingPairs(self._limits.pairs_count_max, self._limits.pairs_bytes_max), watch)

    def loop(self, name: str) -> Loop:
        """The loop, made when it is new."""
        if name not in self.loops:
            self.loops[name] = self._loop(LoopState(loop=name), self._watches.new())
        return self.loops[name]

    def feedback(self, entry: Entry, event: FeedbackReceived) -> None:
        """Fold one piece of feedback."""
        loop = self.loop(event.loop)
        loop.state.fold(event)
        loop.pairs.add(Pair.of(entry.id, event))
        self.passed(entry, event.loop, f"{event.loop}:pairs")

    def event(self, entry: Entry, event: Event, loop: str) -> None:
        """Fold one event that needs nothing but itself."""
        self.loop(loop).state.fold(event)
        self.passed(entry, loop)

    def cycle(self, entry: Entry, event: CycleCompleted, is_scored: bool) -> None:
        """Record a cycle that the loop's watch has folded, if its texts were all there."""
        self.loop(event.loop).observed(event, is_scored)
        self.passed(entry, event.loop, f"{event.loop}:pairs", f"{event.loop}:watch")

    def skip(self, entry: Entry) -> None:
        """Count an unreadable feedback entry; the trainer is the one who parks it."""
        self.unreadable.skipped_count += 1
        self.passed(entry, PARTITION_KEY)

    def park(self, entry: Entry, reason: str) -> None:
        """Send an unreadable entry of the ``events`` stream to the dead letters with the next commit."""
        self.unreadable.parked_count += 1
        self._uncommitted.parked.append((entry, reason))
        self.passed(entry, PARTITION_KEY)

    def passed(self, entry: Entry, *keys: str) -> None:
        """The entry is folded: move the offset of its stream, and mark what changed."""
        self.offsets[entry.stream] = entry.id
        counts = self._uncommitted.counts
        counts[entry.stream] = counts.get(entry.stream, 0) + 1
        self._uncommitted.keys.update(keys)

    @property
    def is_changed(self) -> bool:
        """Whether anything was folded since the last `take_commit`."""
        return bool(self._uncommitted.counts)

    def take_commit(self) -> Commit:
        """Everything folded since the last call, as one atomic step. When it fails, load the view again."""
        taken, self._uncommitted = self._uncommitted, _Uncommitted()
        state: dict[str, bytes | None] = {}
        for key in sorted(taken.keys):
            state.update(self._encoded(key))
        return Commit(
            state=state,
            offsets={stream: self.offsets[stream] for stream in taken.counts},
            counts=taken.counts,
            parked=taken.parked,
        )

    def _encoded(self, key: str) -> dict[str, bytes]:
        if key == PARTITION_KEY:
            return {key: json.dumps(vars(self.unreadable)).encode()}
        name, _, part = key.partition(":")
        loop = self.loops[name]
        match part:
            case "pairs":
                return {key: loop.pairs.dump()}
            case "watch":
                return self._split(key, loop)
            case _:
                return {key: loop.state.model_dump_json().encode()}

    def _split(self, key: str, loop: Loop) -> dict[str, bytes]:
        state, references = loop.watch.split()
        if (digest := digest_of(references)) == loop.references_digest:
            return {key: state}
        loop.references_digest = digest
        return {key: state, f"{loop.state.loop}:references": references}
