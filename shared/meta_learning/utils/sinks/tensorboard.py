"""TensorBoard event files, written by tensorboardX (which needs no TensorFlow)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_learning.utils.sinks import RunStarted, imported


class TensorBoardSink:
    """Scalars by step, events and settings as text.

    Raises:
        ConfigurationError: the package tensorboardX is not installed.
    """

    name = "tensorboard"

    def __init__(self, folder: Path) -> None:
        self._package = imported("tensorboardX", "tensorboard")
        self._folder = folder
        self._writer: Any = None
        self._events = 0

    def start(self, run: RunStarted) -> None:
        """Open the event file."""
        self._writer = self._package.SummaryWriter(str(self._folder / run.run_id))

    def config(self, config: Mapping[str, Any]) -> None:
        """The settings as a block of JSON."""
        self._text("config", config)

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """One scalar a number, at this step."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, iteration)
        self._writer.flush()

    def event(self, kind: str, message: str) -> None:
        """One text an event."""
        self._events += 1
        self._writer.add_text("events", f"{kind}: {message}", self._events)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """The result as a block of JSON."""
        self._text("summary", summary)

    def artifact(self, path: Path) -> None:
        """TensorBoard shows no files: its name is noted."""
        self.event("artifact", path.name)

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _text(self, name: str, facts: Mapping[str, Any]) -> None:
        self._writer.add_text(name, f"```\n{json.dumps(facts, indent=2, ensure_ascii=False)}\n```", 0)
