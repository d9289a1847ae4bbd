"""The port to trackers: where else a run's facts go, besides its own files. Adapters: `mlflow`, `wandb`, `tensorboard`, `memory`.

>>> from meta_learning.utils.sinks.memory import MemorySink
>>> sink = MemorySink()
>>> sink.iteration(1, {"accuracy": 0.5})
>>> sink.facts
[('iteration', 1, {'accuracy': 0.5})]
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from meta_learning.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Which run a sink is told about."""

    experiment: str
    run_id: str
    folder: Path


class Sink(Protocol):
    """A tracker. It may raise whatever its library raises: the logger then goes on without it."""

    name: str

    def start(self, run: RunStarted) -> None:
        """Open the run."""

    def config(self, config: Mapping[str, Any]) -> None:
        """Settings, as plain JSON."""

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """The numbers of one iteration; what is still collecting is left out."""

    def event(self, kind: str, message: str) -> None:
        """Something that happened."""

    def summary(self, summary: Mapping[str, Any]) -> None:
        """The result, as plain JSON."""

    def artifact(self, path: Path) -> None:
        """A file of the run, a figure for instance."""

    def close(self) -> None:
        """Finish the run; harmless when called twice."""


def open_sink(name: str, folder: Path) -> Sink:
    """The tracker of this name, which keeps what it is told under ``folder``, without a network.

    Raises:
        ConfigurationError: there is no such tracker, or its package is not installed.
    """
    if name == "mlflow":
        from meta_learning.utils.sinks.mlflow import MLflowSink

        return MLflowSink(f"sqlite:///{(folder / 'mlflow.db').absolute()}")
    if name == "wandb":
        from meta_learning.utils.sinks.wandb import WandbSink

        return WandbSink(folder)
    if name == "tensorboard":
        from meta_learning.utils.sinks.tensorboard import TensorBoardSink

        return TensorBoardSink(folder / "tensorboard")
    raise ConfigurationError(f"there is no tracker {name!r}; there are mlflow, tensorboard, wandb")


def imported(module: str, extra: str) -> ModuleType:
    """A tracker's package.

    Raises:
        ConfigurationError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise ConfigurationError(
            f"the tracker needs the package {missing.name}: pip install 'meta-learning-loop[{extra}]'"
        ) from missing


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, as trackers show them.

    >>> flat({"budget": {"calls": 3}, "seed": 1})
    {'budget.calls': 3, 'seed': 1}
    """
    found: dict[str, Any] = {}
    for name, value in facts.items():
        inner = flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
        found |= inner
    return found
