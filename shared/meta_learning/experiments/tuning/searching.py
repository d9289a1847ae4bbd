"""Trials asked of Optuna and told to it: kept in one file beside their cells, and drawn again alike after any death.

Optuna's journal is lines of JSON. Its storage on Redis keeps pickles, so that whoever writes to the broker could run code
here: it is not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meta_learning.errors import ConfigurationError
from meta_learning.experiments.comparator import compare
from meta_learning.experiments.config import Value
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.loops.report import estimate
from meta_learning.experiments.study import OnCell, Workers
from meta_learning.experiments.tuning.config import Range, TuningConfig, checked
from meta_learning.utils.lines import write_whole

JOURNAL = "trials.journal"
STARTUP_COUNT = 8


class Tuning:
    """One search in ``root/<id>``: the same settings go on where they stopped.

    Raises:
        ConfigurationError: Optuna is not installed, or a range lies outside the bounds of its setting.
    """

    def __init__(self, config: TuningConfig, root: Path) -> None:
        self.config, self.folder = checked(config), root / config.id
        self._optuna = _optuna()

    def run(self, workers: Workers, on_cell: OnCell = lambda cell, result: None) -> dict[str, Any]:
        """Search, judge, and report; the report also lies in ``report.json``."""
        write_whole(self.folder / "config.json", self.config.model_dump_json(indent=2).encode())
        runner = _Cells(self.folder, workers, on_cell)
        with self._study() as study:
            while (trials := self._next(study)) is not None:
                self._tell(study, trials, runner)
            report = self._report(study, runner)
        write_whole(self.folder / "report.json", json.dumps(report, ensure_ascii=False, indent=1).encode())
        return report | {"folder": str(self.folder)}

    @contextmanager
    def _study(self) -> Iterator[Any]:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.folder.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(self.folder / JOURNAL)))
        study = self._optuna.create_study(
            study_name=self.config.id, storage=storage, direction="maximize", load_if_exists=True
        )
        if not study.trials:
            study.enqueue_trial(self.config.defaults())
        yield study

    def _next(self, study: Any) -> list[tuple[int, dict[str, Value]]] | None:
        """The trials of this round: those that an earlier life had begun, then new ones; None when there were enough."""
        state = self._optuna.trial.TrialState
        begun = [trial for trial in study.trials if trial.state != state.WAITING]
        running = [(trial.number, dict(trial.params)) for trial in begun if trial.state == state.RUNNING]
        first = len(begun) - len(running)
        count = min(self.config.at_once - first % self.config.at_once, self.config.trials - first)
        if count <= 0:
            return None
        for number in range(len(begun), first + count):
            # A sampler for each trial, seeded by its number: else the draws would depend on where the search was cut off.
            study.sampler = self._optuna.samplers.TPESampler(
                seed=self.config.sampler_seed * 1_000_003 + number, n_startup_trials=STARTUP_COUNT
            )
            trial = study.ask(self._distributions())
            running.append((trial.number, dict(trial.params)))
        return running

    def _tell(self, study: Any, trials: Sequence[tuple[int, dict[str, Value]]], runner: _Cells) -> None:
        cells = {number: self.config.trial_cells(settings) for number, settings in trials}
        runner.run([cell for group in cells.values() for cell in group])
        for number, group in cells.items():
            scores = [self.config.score_of(result) for result in runner.results(group)]
            if len(scores) == len(group):
                study.tell(number, sum(scores) / len(scores))
            else:
                study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def _report(self, study: Any, runner: _Cells) -> dict[str, Any]:
        complete = [trial for trial in study.trials if trial.value is not None]
        if not complete:
            raise ConfigurationError("no trial could be run to its end: see the errors of its cells")
        # Of equals the first, so that the default stays where nothing is better.
        best = max(complete, key=lambda trial: (trial.value, -trial.number))
        arms = {"default": self.config.defaults(), "best": dict(best.params)}
        judged = {name: self.config.trial_cells(settings, judged=True) for name, settings in arms.items()}
        runner.run([cell for group in judged.values() for cell in group])
        scores = {
            name: {str(cell.seed): self.config.score_of(result) for cell in group for result in runner.results([cell])}
            for name, group in judged.items()
        }
        against = compare("best", scores["best"], {"default": scores["default"]})[0]
        return {
            "kind": self.config.kind,
            "title": self.config.name,
            "trials": [
                {"trial": trial.number, "score": trial.value, **trial.params}
                for trial in sorted(complete, key=lambda trial: int(trial.number))
            ],
            "trials_failed": len(study.trials) - len(complete),
            "best": {"trial": best.number, "settings": dict(best.params), "score": best.value},
            "judged": {name: estimate(list(found.values())) for name, found in scores.items()},
            "gain": against.as_dict(),
            "errors": runner.errors,
        }

    def _distributions(self) -> dict[str, Any]:
        return {name: self._distribution(one) for name, one in self.config.space.items()}

    def _distribution(self, one: Range) -> Any:
        kinds = self._optuna.distributions
        if one.choices is not None:
            return kinds.CategoricalDistribution(one.choices)
        if isinstance(one.low, int) and isinstance(one.high, int):
            return kinds.IntDistribution(one.low, one.high, log=one.log)
        return kinds.FloatDistribution(one.low, one.high, log=one.log)


class _Cells:
    """Cells on disk: what is there is not run again."""

    def __init__(self, folder: Path, workers: Workers, on_cell: OnCell) -> None:
        self._folder, self._workers, self._on_cell = folder, workers, on_cell
        self.errors: list[dict[str, str]] = []

    def run(self, cells: Sequence[GridCell]) -> None:
        """Run those that are not there."""
        missing = {cell.id: cell for cell in cells if not self._path(cell).exists()}
        for cell, result in self._workers.run(missing.values(), self._folder) if missing else ():
            if "error" in result:
                self.errors.append({"cell": cell.label, "error": result["error"]})
            else:
                write_whole(self._path(cell), json.dumps(result, ensure_ascii=False, sort_keys=True).encode())
            self._on_cell(cell, result)

    def results(self, cells: Sequence[GridCell]) -> list[Mapping[str, Any]]:
        """Those that could be run."""
        return [json.loads(self._path(cell).read_bytes()) for cell in cells if self._path(cell).exists()]

    def _path(self, cell: GridCell) -> Path:
        return self._folder / "cells" / f"{cell.id}.json"


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigurationError("tuning needs Optuna: pip install 'meta-learning-loop[tuning]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
