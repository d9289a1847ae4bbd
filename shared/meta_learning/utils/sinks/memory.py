"""The shipped fake: a tracker that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_learning.utils.sinks import RunStarted


class MemorySink:
    """Keeps every fact in order, in ``facts``; with ``failing_from`` it raises from that fact on, as a dead server does."""

    name = "memory"

    def __init__(self, failing_from: int | None = None) -> None:
        self.facts: list[tuple[Any, ...]] = []
        self.closed = False
        self._failing_from = failing_from

    def start(self, run: RunStarted) -> None:
        """Remember the run."""
        self._tell("start", run.experiment, run.run_id)

    def config(self, config: Mapping[str, Any]) -> None:
        """Remember the settings."""
        self._tell("config", dict(config))

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Remember the numbers."""
        self._tell("iteration", iteration, dict(metrics))

    def event(self, kind: str, message: str) -> None:
        """Remember the event."""
        self._tell("event", kind, message)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Remember the result."""
        self._tell("summary", dict(summary))

    def artifact(self, path: Path) -> None:
        """Remember the file's name."""
        self._tell("artifact", path.name)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _tell(self, *fact: Any) -> None:
        if self._failing_from is not None and len(self.facts) >= self._failing_from:
            raise ConnectionError("the tracker does not answer")
        self.facts.append(fact)
