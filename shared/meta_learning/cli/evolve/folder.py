"""The folder of a run: what was ordered, its log, a lock while somebody works on it, and its report."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from meta_learning.acla.reporting import markdown
from meta_learning.acla.store import RunLog
from meta_learning.cli.evolve.order import Order
from meta_learning.errors import CallerError, ConfigurationError, MalformedState, NotFound, StoreUnavailable
from meta_learning.events import describe
from meta_learning.registry.runs import FileRunStore
from meta_learning.utils import MetaLearningVisualizer
from meta_learning.utils.evolutions import MADE_WITH
from meta_learning.utils.lines import write_whole
from meta_learning.utils.provenance import code_version, environment

ADVICE = re.compile(r" \(if that is not how to answer: [^)]*\)")
EVOLUTIONS, ORDER, LOCK, REPORT = "evolutions", "order.json", "lock", "report"


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
            return Order.model_validate_json((self.path / ORDER).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"there is no run {self.run_id!r} under {self.root}") from None
        except ValidationError as error:
            raise MalformedState(f"{self.path / ORDER} cannot be read: {describe(error)[0]}") from None
        except OSError as error:
            raise MalformedState(f"{self.path / ORDER} cannot be read: {error.strerror or error}") from None

    @property
    def is_kept(self) -> bool:
        """Whether there is a run to go on with."""
        return os.path.exists(self.path / ORDER)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Work on the run alone; the lock goes with the process, however it ends. Where nothing was kept, nothing is left behind.

        Raises:
            CallerError: another process works on this run.
            StoreUnavailable: the folder cannot be made, or not be written.
        """
        made = [one for one in (self.path, *self.path.parents) if not os.path.exists(one)]
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CallerError(f"another process works on run {self.run_id}") from None
            try:
                yield
            finally:
                if made and not self.is_kept:
                    _taken_away(self.path / LOCK, made)

    def _lock_file(self) -> TextIO:
        report = self.path / REPORT
        if os.path.exists(report) and not report.is_dir():
            raise StoreUnavailable(f"{report} is in the place of the folder of the report: move it away")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return (self.path / LOCK).open("w")
        except OSError as error:
            why = f"{self.path} cannot be written: {error.strerror or error}"
            raise StoreUnavailable(f"{why}; say another place with --data-folder") from None

    def keep(self, order: Order) -> None:
        """Write down what was ordered, without the secrets in it, and what the run was begun with."""
        if not self.is_kept:
            made = {"code": code_version(), "environment": environment()}
            write_whole(self.path / MADE_WITH, json.dumps(made, ensure_ascii=False, indent=2).encode())
        write_whole(self.path / ORDER, order.without_secrets().model_dump_json(indent=2).encode())

    def report(self, results: Mapping[str, Any], order: Order, about: Mapping[str, Any]) -> Path:
        """Write the report: ``results.json``, ``report.md``, ``prompt.txt``, ``package.json`` (what to use, with its weights,
        all voters and the price of a question), ``calls.csv``, and figures where they can be drawn.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        try:
            return self._reported(results, order, about)
        except OSError as error:
            raise StoreUnavailable(f"{self.path / REPORT} cannot be written: {error.strerror or error}") from error

    def _reported(self, results: Mapping[str, Any], order: Order, about: Mapping[str, Any]) -> Path:
        folder = self.path / REPORT
        # What to say otherwise next time is advice before a run, and no fact after it.
        page = markdown(results, order.prompt, {name: ADVICE.sub("", str(value)) for name, value in about.items()})
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


def _taken_away(lock: Path, folders: Iterable[Path]) -> None:
    with suppress(OSError):  # somebody else has put something there
        lock.unlink()
        for folder in folders:
            folder.rmdir()


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
    while os.path.exists(data_folder / EVOLUTIONS / (name := stem if number == 1 else f"{stem}-{number}")):
        number += 1
    return name
