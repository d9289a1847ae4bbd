"""Reading runs back: what `ExperimentLogger` wrote, whole or cut off by a kill.

>>> import tempfile
>>> from meta_learning.utils.logger import ExperimentLogger
>>> with tempfile.TemporaryDirectory() as folder:
...     for rate in (0.1, 0.2):
...         with ExperimentLogger("rates", folder=folder, run_id=f"rates-{rate}") as log:
...             log.log_config({"rate": rate, "size": 3})
...             log.log_iteration(1, {"accuracy": rate + 0.5})
...     runs = list_runs(folder)
...     compare_runs(runs)["rate"]
{'rates-0.1': 0.1, 'rates-0.2': 0.2}
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_learning.errors import MalformedState, NotFound
from meta_learning.utils.evolutions import EVOLUTIONS, evolutions, manifest_of, records_of
from meta_learning.utils.logger import DATA_FOLDER, EXPERIMENTS
from meta_learning.utils.sinks import flat


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run as it lies on disk. ``records`` are all whole lines of its log, in order."""

    run_id: str
    folder: Path
    manifest: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]

    @property
    def state(self) -> str:
        """``finished``, ``failed`` (closed with an error, without a summary), or ``open``: still going on, or killed."""
        kinds = [record["kind"] for record in self.records]
        if not kinds or kinds[-1] != "closed":
            return "open"
        return "finished" if self.summary or not self._errors else "failed"

    @property
    def history(self) -> list[dict[str, Any]]:
        """``{"iteration": …, metric: …}`` in order; of an iteration that was logged twice (after a kill), the newer."""
        by_iteration = {
            record["iteration"]: {"iteration": record["iteration"], **record["metrics"]}
            for record in self.records
            if record["kind"] == "iteration"
        }
        return [by_iteration[number] for number in sorted(by_iteration)]

    @property
    def summary(self) -> dict[str, Any]:
        """The last summary, or nothing."""
        said = [record["summary"] for record in self.records if record["kind"] == "summary"]
        return dict(said[-1]) if said else {}

    @property
    def _errors(self) -> list[Mapping[str, Any]]:
        return [record for record in self.records if record.get("event") == "error"]


def list_runs(folder: str | Path = DATA_FOLDER) -> list[RecordedRun]:
    """Every run under ``folder``, oldest first: logged experiments, and evolutions of prompts."""
    found = [_read(path) for path in _folders(Path(folder))]
    return sorted(found, key=lambda run: (run.manifest["started_at"][0], run.run_id))


def read_run(run_id: str, folder: str | Path = DATA_FOLDER) -> RecordedRun:
    """One run by its id, or by a beginning that only one run has.

    Raises:
        NotFound: there is no such run, or several begin so.
        MalformedState: a line before the last is no JSON.
    """
    root, folders = Path(folder), _folders(Path(folder))
    named = [path for path in folders if path.name == run_id]
    if len(named) == 1:
        return _read(named[0])
    begun = [path for path in folders if path.name.startswith(run_id)]
    if len(begun) != 1 or not run_id:
        said = f"several begin with {run_id!r}" if begun else f"none begins with {run_id!r}"
        which = ": " + ", ".join(path.name for path in begun[:5]) if begun else "; `meta-learning runs list` names them"
        raise NotFound(f"which run? {said} under {root}{which}")
    return _read(begun[0])


def compare_runs(runs: Sequence[RecordedRun]) -> dict[str, dict[str, Any]]:
    """Where runs differ: settings, data and code that are not equal, then last metrics and summaries, by run."""
    table: dict[str, dict[str, Any]] = {}
    for run in runs:
        made = {
            **flat(run.manifest["config"]),
            **{f"data {name}": data["sha256"][:12] for name, data in run.manifest["data"].items()},
            "code commit": (run.manifest["code"]["commit"] or "")[:12] or None,
        }
        for name, value in made.items():
            table.setdefault(name, {})[run.run_id] = value
    differing = {name: row for name, row in table.items() if len({json.dumps(row.get(run.run_id)) for run in runs}) > 1}
    for run in runs:
        for name, value in _results(run).items():
            differing.setdefault(name, {})[run.run_id] = value
    return differing


def export_run(run: RecordedRun, form: str) -> str:
    """The run as ``json`` (everything) or ``csv`` (its history).

    Raises:
        NotFound: there is no such form.
    """
    if form == "json":
        said = {"manifest": run.manifest, "history": run.history, "summary": run.summary, "records": run.records}
        return json.dumps(said, ensure_ascii=False, indent=2) + "\n"
    if form != "csv":
        raise NotFound(f"there is no form {form!r}; there are csv, json")
    names = list(dict.fromkeys(name for point in run.history for name in point))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(run.history)
    return text.getvalue()


def _results(run: RecordedRun) -> dict[str, Any]:
    last = {f"last {name}": value for name, value in run.history[-1].items()} if run.history else {}
    short = {name: value for name, value in flat(run.summary).items() if isinstance(value, str | int | float)}
    return {name: value for name, value in (last | short).items() if not (isinstance(value, str) and len(value) > 80)}


def _folders(root: Path) -> list[Path]:
    return [path.parent for path in sorted((root / EXPERIMENTS).glob("*/manifest.json"))] + list(evolutions(root))


def _read(folder: Path) -> RecordedRun:
    path = folder / "log.jsonl"
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    # What follows the last newline is a line that a kill cut off: it never counted.
    records = [_record(path, number, line) for number, line in enumerate(lines[:-1], start=1)]
    if folder.parent.name == EVOLUTIONS:
        return RecordedRun(folder.name, folder, manifest_of(folder), records_of(records))
    return RecordedRun(folder.name, folder, json.loads((folder / "manifest.json").read_bytes()), records)


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "kind" not in record:
        raise MalformedState(f"{path}: line {number} is no record of a run")
    return record
