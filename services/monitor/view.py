"""What the monitor knows now: shared by the metrics, the API and the live page, all on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from meta_learning.errors import BrokerUnavailable, MetaLearningError, NotFound
from meta_learning.streams import ReaderLag
from services.monitor.folding import Loop, PartitionView

PartitionState = Literal["starting", "standby", "folding", "down"]


@dataclass
class PartitionStatus:
    """How the consumer of one partition is doing."""

    state: PartitionState = "starting"
    committed_at_s: float | None = None
    view: PartitionView | None = None


@dataclass(frozen=True, slots=True)
class SystemReading:
    """What the broker says about the whole deployment, read every few seconds."""

    is_broker_up: bool = False
    reason: str = "not asked yet"
    lags: Sequence[ReaderLag] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    dead_letters_count: int = 0


class View:
    """The loops of all owned partitions, the state of the folds and the last reading of the broker."""

    def __init__(self, partitions_count: int) -> None:
        self.partitions = {number: PartitionStatus() for number in range(partitions_count)}
        self.system = SystemReading()
        self.revision = 0
        self.live_clients_count = 0
        self.cycle_size: int | None = None  # known once the app is made with its settings
        self._news = asyncio.Event()

    def loops(self) -> dict[str, Loop]:
        """Every loop by name, sorted."""
        return dict(sorted(self._loops()))

    def _loops(self) -> Iterator[tuple[str, Loop]]:
        for status in self.partitions.values():
            if status.view is not None:
                yield from status.view.loops.items()

    @property
    def loops_count(self) -> int:
        """How many loops are known."""
        return sum(len(status.view.loops) for status in self.partitions.values() if status.view is not None)

    def find(self, name: str) -> Loop | None:
        """One loop, if it is known."""
        views = (status.view for status in self.partitions.values() if status.view is not None)
        return next((view.loops[name] for view in views if name in view.loops), None)

    def loop(self, name: str) -> Loop:
        """One loop; raises `NotFound`."""
        if (loop := self.find(name)) is None:
            raise NotFound(f"no loop {name!r} has been seen here: a loop begins with its first event")
        return loop

    def counts(self) -> dict[str, int]:
        """The counts of all loops together."""
        states = [loop.state for _, loop in self._loops()]
        return {
            "monitored": sum(state.monitored_count for state in states),
            "trained": sum(state.trained_count for state in states),
            "capped": sum(state.capped_count for state in states),
            "distrusted": sum(state.distrusted_count for state in states),
            "unlearnt": sum(state.unlearnt_count for state in states),
            "open": sum(state.open_count for state in states),
        }

    def show(self, partition: int, view: PartitionView) -> None:
        """A fold has loaded its state and goes on from it."""
        self.partitions[partition].view = view
        self.partition_state(partition, "folding")

    def partition_state(self, partition: int, state: PartitionState) -> None:
        """The fold of ``partition`` is now in ``state``. What another monitor folds is not shown here: it would only grow old."""
        status = self.partitions[partition]
        if status.state != state:
            status.state = state
            if state == "standby":
                status.view, status.committed_at_s = None, None
            self.changed()

    def committed(self, partition: int, now_s: float) -> None:
        """The fold of ``partition`` has committed."""
        self.partitions[partition].committed_at_s = now_s
        self.changed()

    def read(self, system: SystemReading) -> None:
        """A new reading of the broker has come."""
        if system != self.system:
            self.system = system
            self.changed()

    def changed(self) -> None:
        """Wake everybody who waits for news."""
        self.revision += 1
        self._news.set()
        self._news = asyncio.Event()

    async def after(self, revision: int) -> int:
        """Wait until there is something newer than ``revision``; what it is."""
        if self.revision == revision:
            await self._news.wait()
        return self.revision

    async def check_ready(self) -> None:
        """Raises unless the broker answers and no fold has lost it (for ``/readyz``)."""
        if not self.system.is_broker_up:
            raise BrokerUnavailable(self.system.reason)
        lost = [number for number, status in self.partitions.items() if status.state in {"starting", "down"}]
        if lost:
            raise MetaLearningError(f"partitions {lost} are not being folded yet")
