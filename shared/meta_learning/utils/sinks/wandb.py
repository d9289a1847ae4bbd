"""Weights & Biases: offline by default; ``wandb sync`` sends the folder later, if anybody wants that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from meta_learning.utils.sinks import RunStarted, flat, imported


class WandbSink:
    """One W&B run. Nothing leaves the machine unless ``mode="online"`` is asked for.

    Raises:
        ConfigurationError: the package wandb is not installed.
    """

    name = "wandb"

    def __init__(self, folder: Path, mode: Literal["offline", "online"] = "offline") -> None:
        self._wandb = imported("wandb", "wandb")
        self._folder, self._mode = folder, mode
        self._run: Any = None
        self._events: list[list[str]] = []

    def start(self, run: RunStarted) -> None:
        """Open the run in its own folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = self._wandb.init(
            project=run.experiment,
            name=run.run_id,
            dir=str(self._folder),
            mode=self._mode,
            # Its own look at the machine (and at this checkout) is not asked for: the manifest has what is needed.
            settings=self._wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
        )

    def config(self, config: Mapping[str, Any]) -> None:
        """The settings, nested as they are."""
        self._run.config.update(dict(config), allow_val_change=True)

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """The numbers at this step."""
        self._run.log({**metrics, "iteration": iteration})

    def event(self, kind: str, message: str) -> None:
        """Events go into the run's summary, in order."""
        self._events.append([kind, message])
        self._run.summary["events"] = self._events

    def summary(self, summary: Mapping[str, Any]) -> None:
        """The result."""
        for name, value in flat(summary).items():
            self._run.summary[name] = value

    def artifact(self, path: Path) -> None:
        """An image is logged as one; any other file is saved beside the run."""
        if path.suffix == ".png":
            self._run.log({path.stem: self._wandb.Image(str(path))})
        else:
            self._run.save(str(path), base_path=str(path.parent), policy="now")

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None
