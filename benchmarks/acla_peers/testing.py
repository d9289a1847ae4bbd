"""Held-out items, asked once a prompt: one call an item gives both readings, whichever arms came to the prompt."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from benchmarks.acla_peers.items import TASKS, Pair
from benchmarks.peers.acla_client import Client, read
from meta_learning.utils.lines import write_whole

# A turn lasts as long as somebody has it or waits for it.
_TURNS: WeakValueDictionary[Path, threading.Lock] = WeakValueDictionary()
_ENTERING = threading.Lock()


class Tested:
    """What the model answers to the test items of one task and data seed, kept in ``folder``."""

    def __init__(self, folder: Path, task: str, seed: int, items: Sequence[Pair]) -> None:
        self._folder, self._task, self._seed, self.items = folder, TASKS[task], seed, items

    def answers(self, package: dict[str, Any], url: str | None = None, count: int | None = None) -> list[str | None]:
        """The package's answers to the first ``count`` items, asking what is missing.

        Raises:
            LookupError: some are missing, and there is no ``url`` to ask.
        """
        wanted = len(self.items) if count is None else min(count, len(self.items))
        # Several arms come to the same prompt at the same time: one asks, the others read.
        with _turn(self._file(package)):
            known = self._known(package)
            if len(known) < wanted:
                if url is None:
                    raise LookupError(f"no answers of {package['prompt'][:60]!r} for data seed {self._seed}")
                known = known + self._ask(package, url, [text for text, _ in self.items[len(known) : wanted]])
                self._file(package).parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._file(package), json.dumps({"prompt": package["prompt"], "said": known}).encode())
        by_label = package["kind"] == "label"
        return [read(one, self._task.labels, by_label, package["bias"]) for one in known[:wanted]]

    def _file(self, package: dict[str, Any]) -> Path:
        digest = hashlib.sha256(package["prompt"].encode()).hexdigest()[:16]
        return self._folder / "tests" / f"{self._task.name}-{self._seed}-{digest}.json"

    def _known(self, package: dict[str, Any]) -> list[Any]:
        file = self._file(package)
        known: list[Any] = json.loads(file.read_text())["said"] if file.exists() else []
        return known

    def _ask(self, package: dict[str, Any], url: str, texts: Sequence[str]) -> list[Any]:
        with closing(Client(url, f"test:{self._task.name}:{self._seed}", self._task.labels)) as client:
            return client.both_readings(package["prompt"], texts)


def _turn(file: Path) -> threading.Lock:
    with _ENTERING:
        return _TURNS.setdefault(file, threading.Lock())
