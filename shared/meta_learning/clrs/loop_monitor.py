"""Watches one loop: folds its cycles into drift, alignment and coherence, and remembers a bounded history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

from meta_learning.clrs.model import Pair
from meta_learning.clrs.settings import LoopSettings
from meta_learning.errors import MalformedState
from meta_learning.events import CycleCompleted


class LoopMonitor:
    """Thin."""

    def __init__(self, settings: LoopSettings | None = None) -> None:
        self.settings = settings or LoopSettings()
        self.cycles = 0
        self.events = 0

    def observe(self, cycle: CycleCompleted, pairs: Sequence[Pair]) -> None:
        """Fold one completed cycle; ``pairs`` are its (input, output) pairs in order."""
        self.cycles, self.events = cycle.cycle, self.events + len(pairs)

    def summary(self) -> dict[str, Any]:
        """Scores."""
        none: dict[str, Any] = {"current": None, "n": 0, "low": None, "high": None}
        return {"cycles": self.cycles, "events": self.events, "drift": none, "alignment": none, "coherence": none}

    def split(self) -> tuple[dict[str, Any], bytes]:
        return {"cycles": self.cycles, "events": self.events}, b""

    @classmethod
    def joined(cls, data: dict[str, Any], reference: bytes, settings: LoopSettings | None = None) -> Self:
        monitor = cls(settings)
        monitor.cycles, monitor.events = data["cycles"], data["events"]
        return monitor

    def dump(self) -> bytes:
        return json.dumps(self.split()[0]).encode()

    @classmethod
    def load(cls, blob: bytes, settings: LoopSettings | None = None) -> Self:
        try:
            return cls.joined(json.loads(blob), b"", settings)
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedState(str(error)) from error
