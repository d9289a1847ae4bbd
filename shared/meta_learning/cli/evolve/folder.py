"""The folder of a run: what was ordered, its log, a lock while somebody works on it, and its report."""

from __future__ import annotations

import csv
import fcntl
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from meta_learning.acla.reporting import markdown
from meta_learning.acla.store import RunLog
from meta_learning.cli.evolve.order import Order
from meta_learning.errors import CallerError, ConfigurationError, MalformedState, NotFound
from meta_learning.registry.runs import FileRunStore
from meta_learning.utils import MetaLearningVisualizer
from meta_learning.utils.lines import write_whole

EVOLUTIONS = "evolutions"


class RunFolder:
    """``<data_folder>/evolutions/<run_id>/``."""

    def __init__(self, data_folder: Path, run_id: str) -> None:
        self.run_id = run_id
        self.root = data_folder / EVOLUTIONS
        self.path = self.root / run_id
        self.store = FileRunStore(self.root)
        self.store.read(run_id)  # refuses what is no name of a run

    def order(self) -> Order:
        """What was ordered.

        Raises:
            NotFound: there is no such run.
            MalformedState: its order cannot be read.
        """
        try:
            return Order.model_validate_json((self.path / "order.json").read_bytes())
        except FileNotFoundError:
            raise NotFound(f"there is no run {self.run_id!r} under {self.root}") from None
        except ValueError as error:
            raise MalformedState(f"{self.path / 'order.json'} cannot be read: {error}") from None

    @contextmanager
    def locked(self, order: Order) -> Iterator[None]:
        """Work on the run alone, with its order written down; the lock goes with the process, however it ends.

        Raises:
            CallerError: another process works on this run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CallerError(f"another process works on run {self.run_id}") from None
            write_whole(self.path / "order.json", order.model_dump_json(indent=2).encode())
            yield

    def report(self, results: Mapping[str, Any], order: Order, about: Mapping[str, Any]) -> Path:
        """Write the report: ``results.json``, ``report.md``, ``prompt.txt``, ``calls.csv``, and figures where they can be drawn."""
        folder = self.path / "report"
        said = json.dumps(results, ensure_ascii=False, indent=2)
        texts = {
            "results.json": said + "\n",
            "report.md": markdown(results, order.prompt, about),
            "prompt.txt": results["best_prompt"] + "\n",
            "calls.csv": self._calls(order.provider),
        }
        for name, text in texts.items():
            write_whole(folder / name, text.encode("utf-8", errors="replace"))
        # Figures are an extra; the numbers are all there without them.
        with suppress(ConfigurationError):
            draw = MetaLearningVisualizer(folder)
            draw.plot_anytime({about["model"]: results["performance_history"]})
            draw.plot_lineage(results["lineage"])
        return folder

    def _calls(self, provider: str) -> str:
        """Every call of all lives of the run, as a table."""
        rows = [asdict(entry) for entry in RunLog(self.store, self.run_id, provider).paid]
        text = io.StringIO()
        if rows:
            writer = csv.DictWriter(text, [name for name in rows[0] if name != "replayed"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return text.getvalue()


def free_name(data_folder: Path, now: datetime) -> str:
    """A name that no run has: the time, counted on where two begin in one second."""
    number, stem = 1, f"{now:%Y%m%dT%H%M%S}"
    while (data_folder / EVOLUTIONS / (name := stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return name
