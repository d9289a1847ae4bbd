"""Loops over stores in memory or in a folder, and batches of entries for them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from meta_learning.clrs import ClosedLoopSystem, LoopSettings
from meta_learning.clrs.models.port import Model
from meta_learning.events import Event, FeedbackReceived
from meta_learning.registry import Store
from meta_learning.registry.store import FileStore, MemoryStore
from meta_learning.streams import Entry
from services.trainer.loops import Folded, Loops
from tests.brokers import NOON

CYCLE_SIZE = 10


class Desk:
    """Loops with their stores; ``step`` folds a batch and commits it, ``again`` is a successor from the last commit."""

    def __init__(
        self,
        ready_max: int = 256,
        folder: Path | None = None,
        settings: LoopSettings | None = None,
        model: Model | None = None,
    ) -> None:
        self.settings, self.model = settings or LoopSettings(cycle_size=CYCLE_SIZE), model
        self.workspaces: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)
        self.registry: Store = MemoryStore() if folder is None else FileStore(folder / "registry")
        self.workspace: Callable[[str], Store] = (
            self.workspaces.__getitem__ if folder is None else lambda name: FileStore(folder / "trainer" / name)
        )
        self.ready_max = ready_max
        self.state: dict[str, bytes] = {}
        self.loops = self._new()

    def _new(self) -> Loops:
        return Loops(
            new=lambda name: ClosedLoopSystem(self.model, loop=name, settings=self.settings),
            restore=lambda name, state, get: ClosedLoopSystem.restore(state, get, loop=name, settings=self.settings),
            workspace=self.workspace,
            registry=self.registry,
            loops_in_memory_max=self.ready_max,
        )

    def step(self, entries: Sequence[Entry]) -> Folded:
        folded = self.loops.fold(entries)
        self.state.update({name: state for name, state in folded.commit.state.items() if state is not None})
        self.loops.committed(folded)
        return folded

    def again(self) -> Desk:
        self.loops = self._new()
        self.loops.load(self.state)
        return self


_numbers = itertools.count(1)


def entries(*events: Event) -> list[Entry]:
    return [Entry("feedback", f"{next(_numbers)}-0", event.encode(), event.type) for event in events]  # type: ignore[attr-defined]


def learnable(number: int, loop: str = "support") -> FeedbackReceived:
    """Feedback that can be learnt within a few cycles."""
    kind = number % 2
    return FeedbackReceived(
        event_id=f"{loop}-{number}",
        occurred_at=NOON,
        loop=loop,
        input_text=f"question {number % 7}",
        output_text=("go away", "gladly")[kind],
        feedback_score=float(kind),
    )
