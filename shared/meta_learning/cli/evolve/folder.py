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
from meta_learning.utils.evolutions import MADE_WITH
from meta_learning.utils.lines import write_whole
from meta_learning.utils.provenance import code_version, environment

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
            if not (self.path / "order.json").exists():
                made = {"code": code_version(), "environment": environment()}
                write_whole(self.path / MADE_WITH, json.dumps(made, ensure_ascii=False, indent=2).encode())
            write_whole(self.path / "order.json", order.model_dump_json(indent=2).encode())
            yield

    def report(self, results: Mapping[str, Any], order: Order, about: Mapping[str, Any]) -> Path:
        """Write the report: ``results.json``, ``report.md``, ``prompt.txt``, ``package.json`` (what to use, with its weights,
        all voters and the price of a question), ``calls.csv``, and figures where they can be drawn.
        """
        folder = self.path / "report"
        page = markdown(results, order.prompt, about)
        texts = {
            "results.json": json.dumps(results, ensure_ascii=False, indent=2) + "\n",
            "prompt.txt": results["best_prompt"] + "\n",
            "package.json": json.dumps(_package(results), ensure_ascii=False, indent=2) + "\n",
            "calls.csv": self._calls(order.provider),
            "report.md": page + "".join(f"\n![{path.stem}]({path.name})\n" for path in _drawn(folder, results)),
        }
        for name, text in texts.items():
            write_whole(folder / name, text.encode("utf-8", errors="replace"))
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


def _package(results: Mapping[str, Any]) -> dict[str, Any]:
    voters = results.get("ensemble") or [results["best_package"]]
    return {"version": results["best_version"], "voters": voters, "price": results.get("price")}


def _drawn(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """The figures; none where the extra is not installed: the numbers are all there without them."""
    draw, paths = MetaLearningVisualizer(folder, forms=("svg",)), list[Path]()
    if results["performance_history"]:
        with suppress(ConfigurationError):
            paths += draw.plot_anytime({"best prompt": results["performance_history"]})
            paths += draw.plot_lineage(results["lineage"])
    return paths


def free_name(data_folder: Path, now: datetime) -> str:
    """A name that no run has: the time, counted on where two begin in one second."""
    number, stem = 1, f"{now:%Y%m%dT%H%M%S}"
    while (data_folder / EVOLUTIONS / (name := stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return name
