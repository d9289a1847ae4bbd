"""The logger of experiments: a folder a run, in text for people and in JSON lines for programs, safe after every call.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder, ExperimentLogger("tweets", folder=folder, run_id="tweets-1") as log:
...     log.log_config({"seed": 7})
...     log.log_iteration(iteration=1, metrics={"accuracy": 0.8})
...     log.log_event("convergence", "no gain for two iterations")
...     print((log.folder / "log.txt").read_text().splitlines()[-1][26:])
convergence: no gain for two iterations
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from meta_learning.errors import CallerError
from meta_learning.utils import provenance
from meta_learning.utils.lines import LineFile, write_whole
from meta_learning.utils.plain import encoded, plain
from meta_learning.utils.sinks import RunStarted, Sink

DATA_FOLDER = Path("data/meta_learning")
EXPERIMENTS = "experiments"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def now_utc() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


class ExperimentLogger:
    """One run's log under ``<folder>/experiments/<run_id>/``: ``log.jsonl``, ``log.txt``, ``manifest.json``, ``summary.json``.

    The manifest says code version, config, seeds, environment and data digests. What a method logged is in both logs, whole,
    when it returns: a later kill loses nothing of it. ``sync=False`` gives up surviving a power cut as well, for speed.

    ``sinks`` get the same facts after the files have them. One that fails is put aside with a record in the log: no outage of
    a tracking server ends an experiment. An existing ``run_id`` is continued.

    Raises:
        CallerError: the name is no file name, or the log is closed.
        StoreUnavailable: the disk refuses.
    """

    def __init__(
        self,
        experiment_name: str,
        folder: str | Path = DATA_FOLDER,
        run_id: str | None = None,
        sinks: Sequence[Sink] = (),
        sync: bool = True,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        for name in (experiment_name, run_id or experiment_name):
            if not _NAME.fullmatch(name):
                raise CallerError(f"{name!r} is no name of a run: use letters, digits, '.', '_' and '-'")
        self.experiment_name = experiment_name
        self._clock, self._sinks, self._closed = clock, list(sinks), False
        started = clock()
        self.folder = _own_folder(Path(folder) / EXPERIMENTS, experiment_name, run_id, started)
        self.run_id = self.folder.name
        self._manifest = self._opened_manifest(started)
        self._jsonl = LineFile(self.folder / "log.jsonl", sync=sync)
        self._text = LineFile(self.folder / "log.txt", sync=sync)
        self._write_manifest()
        self._to_sinks(lambda sink: sink.start(RunStarted(self.experiment_name, self.run_id, self.folder)))
        lives = len(self._manifest["started_at"])
        self._record("started", f"run {self.run_id}" if lives == 1 else f"run {self.run_id} goes on, life {lives}")

    def log_config(self, config: Mapping[str, Any], seeds: Mapping[str, Any] | None = None) -> None:
        """Note the settings; a ``seed`` or ``seeds`` among them is noted as the run's seeds, unless ``seeds`` says otherwise."""
        said = plain(config)
        self._manifest["config"] |= said
        self._manifest["seeds"] |= plain(seeds) if seeds is not None else _seeds_in(said)
        self._write_manifest()
        self._record("config", json.dumps(said, ensure_ascii=False, sort_keys=True), config=said)
        self._to_sinks(lambda sink: sink.config(said))

    def log_data(self, name: str, samples: Sequence[Mapping[str, Any]] | Path) -> str:
        """Note which data the run saw, by digest (of samples in their order, or of a file), and return it."""
        digest = provenance.file_digest(samples) if isinstance(samples, Path) else provenance.data_digest(samples)
        rows = None if isinstance(samples, Path) else len(samples)
        self._manifest["data"][name] = {"sha256": digest, "rows": rows}
        self._write_manifest()
        self._record("data", f"{name} {digest[:16]}", name=name, sha256=digest, rows=rows)
        return digest

    def log_iteration(self, iteration: int, metrics: Mapping[str, Any]) -> None:
        """Note the metrics of one iteration; a metric may be None (collecting) or hold more than a number."""
        said = plain(metrics)
        shown = "  ".join(f"{name} {_shown(value)}" for name, value in said.items())
        self._record("iteration", f"{iteration:>4}  {shown}", iteration=int(iteration), metrics=said)
        numbers = {
            name: float(value) for name, value in said.items() if isinstance(value, int | float) and value is not None
        }
        self._to_sinks(lambda sink: sink.iteration(int(iteration), numbers))

    def log_event(self, kind: str, message: str, **facts: Any) -> None:
        """Note something that happened: ``convergence``, ``promotion``, ``error``."""
        self._record("event", f"{kind}: {message}", event=kind, message=message, facts=plain(facts))
        self._to_sinks(lambda sink: sink.event(kind, message))

    def log_summary(self, summary: Mapping[str, Any]) -> None:
        """Note the result, and write it as ``summary.json``."""
        said = plain(summary)
        write_whole(self.folder / "summary.json", json.dumps(said, ensure_ascii=False, indent=2).encode())
        shown = "  ".join(f"{name} {_shown(value)}" for name, value in said.items() if _is_short(value))
        self._record("summary", shown or "written to summary.json", summary=said)
        self._to_sinks(lambda sink: sink.summary(said))

    def log_figure(self, path: Path) -> None:
        """Note a figure of this run, and hand it to the sinks."""
        self._record("figure", path.name, path=str(path))
        self._to_sinks(lambda sink: sink.artifact(path))

    def close(self) -> None:
        """Finish the log; harmless when called twice."""
        if self._closed:
            return
        self._record("closed", "closed")
        self._to_sinks(lambda sink: sink.close())
        self._jsonl.close()
        self._text.close()
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and not self._closed:
            self.log_event("error", f"{type(error).__name__}: {error}")
        self.close()

    def _record(self, kind: str, shown: str, **facts: Any) -> None:
        if self._closed:
            raise CallerError(f"the log of run {self.run_id} is closed")
        at = self._clock()
        self._jsonl.append(encoded({"kind": kind, "at": at, **facts}))
        prefix = "" if kind in ("event",) else f"{kind}  "
        line = f"{at:%Y-%m-%d %H:%M:%S.%f}"[:23] + f"Z  {prefix}{shown}".replace("\n", "\\n") + "\n"
        self._text.append(line.encode("utf-8", errors="replace"))

    def _to_sinks(self, tell: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                tell(sink)
            except Exception as error:  # noqa: BLE001 (a tracker may raise anything, and the experiment must go on)
                self._sinks.remove(sink)
                self._record("event", f"sink_failed: {sink.name}: {error}", event="sink_failed", message=str(error))

    def _opened_manifest(self, started: datetime) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        manifest: dict[str, Any] = (
            json.loads(path.read_bytes())
            if path.exists()
            else {"format": 1, "experiment": self.experiment_name, "run_id": self.run_id, "started_at": []}
            | {"config": {}, "seeds": {}, "data": {}}
        )
        manifest["started_at"] = [*manifest["started_at"], started.isoformat()]
        # Of the newest life: a run that goes on elsewhere says so by the number of its starts.
        return manifest | {"code": provenance.code_version(), "environment": provenance.environment()}

    def _write_manifest(self) -> None:
        blob = json.dumps(self._manifest, ensure_ascii=False, indent=2, sort_keys=True)
        write_whole(self.folder / "manifest.json", blob.encode("utf-8", errors="replace"))


def _own_folder(root: Path, experiment: str, run_id: str | None, started: datetime) -> Path:
    """The folder of ``run_id``; without one a new folder, whoever else starts in this very second."""
    if run_id is not None:
        return root / run_id
    stem, number = f"{experiment}-{started:%Y%m%dT%H%M%S}", 1
    while True:
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _seeds_in(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name in ("seed", "seeds") or name.endswith("_seed")}


def _is_short(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 80)


def _shown(value: Any) -> str:
    if value is None:
        return "collecting"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if _is_short(value) else "…"
