"""The world around a monitor under test: feedback in a log, a real trainer's turn, and monitors that can be cut off anywhere."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from meta_learning.clrs import ClosedLoopSystem, LoopMonitor, LoopSettings
from meta_learning.events import FeedbackReceived
from meta_learning.registry.store import MemoryStore
from meta_learning.streams import Checkpoint, Commit, Entry, Fold, Log, StreamName
from services.monitor.consumer import PartitionConsumer
from services.monitor.folding import FoldLimits, Watches
from services.monitor.view import View
from services.trainer.loops import Loops
from tests.brokers import NOON

CYCLE_SIZE = 20
SETTINGS = LoopSettings(cycle_size=CYCLE_SIZE)
WATCHES = Watches(
    new=lambda: LoopMonitor(SETTINGS),
    joined=lambda state, references: LoopMonitor.joined(state, references, settings=SETTINGS),
)
QUICK = FoldLimits(linger_s=0.0)
KIND = ("thank you", "on its way", "we fixed it")
RUDE = ("no idea", "wait longer", "not our fault")


def some_feedback(count: int, loops: Sequence[str] = ("support", "search"), seed: int = 7) -> list[FeedbackReceived]:
    """Feedback that a model can learn from: kind answers are liked, most of the time."""
    chance = random.Random(seed)
    said = []
    for number in range(count):
        is_kind = chance.random() < 0.5
        said.append(
            FeedbackReceived(
                event_id=f"{seed}-{number}",
                occurred_at=NOON + timedelta(seconds=number),
                loop=chance.choice(loops),
                input_text=f"Where is parcel {chance.randrange(1000)}?",
                output_text=chance.choice(KIND if is_kind else RUDE),
                feedback_score=float(is_kind) if chance.random() < 0.9 else float(not is_kind),
            )
        )
    return said


async def train(log: Log) -> None:
    """A trainer's turn over every partition: fold all there is, commit, let go."""
    for number in range(log.partitions_count):
        fold = log.fold("trainer", number)
        assert await fold.acquire("trainer")
        loops = _trainer_loops()
        loops.load((await fold.load()).state)
        while entries := await fold.read(50, wait_ms_max=0):
            folded = await asyncio.to_thread(loops.fold, entries)
            await fold.commit(folded.commit)
        await fold.release()


_WORKSPACES: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)


def _trainer_loops() -> Loops:
    return Loops(
        new=lambda name: ClosedLoopSystem(loop=name, settings=SETTINGS, cycle_size=CYCLE_SIZE),
        restore=lambda name, state, get: ClosedLoopSystem.restore(
            state, get, loop=name, settings=SETTINGS, cycle_size=CYCLE_SIZE
        ),
        workspace=_WORKSPACES.__getitem__,
        registry=MemoryStore(),
    )


async def last_entries(log: Log, partition: int, stream: StreamName) -> list[Entry]:
    """Every entry of a stream."""
    return await log.entries(partition, stream, count_max=100_000)


@dataclass
class Monitor:
    """A running monitor's view."""

    log: Log
    view: View
    role: str = "monitor"

    async def level(self, deadline_s: float = 20.0) -> View:
        """The view, once it has committed everything that lies in the log now."""
        async with asyncio.timeout(deadline_s):
            revision = self.view.revision
            while not await self._is_level():
                revision = await self.view.after(revision)
        return self.view

    async def _is_level(self) -> bool:
        if any(status.state != "folding" for status in self.view.partitions.values()):
            return False
        return not sum(lag.entries_count for lag in await self.log.lags() if lag.role == self.role)


@asynccontextmanager
async def monitor(
    log: Log, limits: FoldLimits = QUICK, role: str = "monitor", owner: str = "monitor-1"
) -> AsyncIterator[Monitor]:
    """A monitor over every partition of ``log``, running until the end of the block."""
    view = View(log.partitions_count)
    consumers = [
        PartitionConsumer(log, number, owner, view, WATCHES, limits, role) for number in range(log.partitions_count)
    ]
    tasks = [asyncio.create_task(consumer.run()) for consumer in consumers]
    try:
        yield Monitor(log, view, role)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def checkpoint(log: Log, partition: int, role: str = "monitor") -> Checkpoint:
    """What a role has committed."""
    fold = log.fold(role, partition, ("feedback", "events"))
    assert await fold.acquire("monitor-1")
    found = await fold.load()
    await fold.release()
    return found


class Cut(Exception):
    """The power went off."""


class CutFold:
    """A fold whose process dies at its ``at``-th commit: just before it takes effect, or just after."""

    def __init__(self, fold: Fold, at: int, is_after: bool) -> None:
        self._fold, self._left, self._is_after = fold, at, is_after
        self.partition, self.role = fold.partition, fold.role
        self.acquire, self.renew, self.load, self.read = fold.acquire, fold.renew, fold.load, fold.read

    async def release(self) -> None:
        """The dead release nothing."""

    async def commit(self, commit: Commit) -> None:
        """Commit, or die."""
        self._left -= 1
        if self._left > 0:
            return await self._fold.commit(commit)
        if self._is_after:
            await self._fold.commit(commit)
        raise Cut


class CutLog:
    """A log whose folds die at their ``at``-th commit; everything else is the real log's."""

    def __init__(self, log: Log, at: int, is_after: bool) -> None:
        self._log, self._at, self._is_after = log, at, is_after

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def fold(self, role: str, partition: int, streams: Sequence[StreamName]) -> CutFold:
        """A fold that will die."""
        return CutFold(self._log.fold(role, partition, streams), self._at, self._is_after)
