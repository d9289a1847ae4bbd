"""Trials drawn by Optuna, and judged by cells of the same runner; drawn again alike after any death.

A trial is one line of JSON, written when it has its score; Optuna holds in memory what the lines say. So there is no trial that was
begun and never told, and no line that a kill leaves in the way. Optuna's own journal has both, and its storage on Redis keeps pickles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from meta_learning.experiments.comparator import compare
from meta_learning.experiments.config import Value
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.loops.report import estimate
from meta_learning.experiments.study import OnCell, Workers
from meta_learning.experiments.tuning.config import TuningConfig, checked
from meta_learning.experiments.tuning.sampling import distributions, optuna_of_extra, sampler
from meta_learning.experiments.tuning.trials import Trial, TrialLines
from meta_learning.utils.lines import write_whole

TRIALS = "trials.jsonl"


class Tuning:
    """One search in ``root/<id>``: the same settings go on where they stopped.

    Raises:
        ConfigurationError: Optuna is not installed, or a range lies outside the bounds of its setting.
    """

    def __init__(self, config: TuningConfig, root: Path) -> None:
        self.config, self.folder = checked(config), root / config.id
        self._optuna = optuna_of_extra()

    def run(self, workers: Workers, on_cell: OnCell = lambda cell, result: None) -> dict[str, Any]:
        """Search, judge, and report; the report also lies in ``report.json``."""
        write_whole(self.folder / "config.json", self.config.model_dump_json(indent=2).encode())
        runner, trials = _Cells(self.folder, workers, on_cell), TrialLines(self.folder / TRIALS)
        trials.forget_failed()
        try:
            while drawn := self._next(trials.known):
                self._judge(drawn, runner, trials)
        finally:
            trials.close()
        report = self._report(trials.known, runner)
        write_whole(self.folder / "report.json", json.dumps(report, ensure_ascii=False, indent=1).encode())
        return report | {"folder": str(self.folder)}

    def _next(self, known: Sequence[Trial]) -> list[Trial]:
        """The trials of this round that have no score yet; none when there were enough. All are drawn from earlier rounds alone."""
        first = len(known) - len(known) % self.config.at_once
        last = min(first + self.config.at_once, self.config.trials)
        return [Trial(number, self._drawn(number, known[:first]), None) for number in range(len(known), last)]

    def _drawn(self, number: int, earlier: Sequence[Trial]) -> dict[str, Value]:
        """The settings of trial ``number``, which depend on that and on ``earlier`` alone; the first is the default."""
        if number == 0:
            return self.config.defaults()
        optuna, space = self._optuna, distributions(self.config.space)
        study = optuna.create_study(direction="maximize", sampler=sampler(self.config.sampler_seed, number))
        for trial in earlier:
            if trial.score is None:
                continue
            # A default outside the space is judged like the others, but cannot say where in it to look.
            with suppress(ValueError):
                study.add_trial(
                    optuna.trial.create_trial(params=trial.settings, distributions=space, value=trial.score)
                )
        return dict(study.ask(space).params)

    def _judge(self, drawn: Sequence[Trial], runner: _Cells, trials: TrialLines) -> None:
        cells = {trial.number: self.config.trial_cells(trial.settings) for trial in drawn}
        runner.run([cell for group in cells.values() for cell in group])
        for trial in drawn:
            group = cells[trial.number]
            scores = [self.config.score_of(result) for result in runner.results(group)]
            score = sum(scores) / len(scores) if len(scores) == len(group) else None
            trials.add(trial._replace(score=score))

    def _report(self, trials: Sequence[Trial], runner: _Cells) -> dict[str, Any]:
        """What came of it; where no trial could be run, that, with the errors of the cells."""
        complete = [(trial.score, trial) for trial in trials if trial.score is not None]
        said = {
            "kind": self.config.kind,
            "title": self.config.name,
            "trials": [{"trial": one.number, "score": score, **one.settings} for score, one in complete],
            "trials_failed": len(trials) - len(complete),
        }
        if not complete:
            return said | {"best": None, "judged": {}, "gain": None, "errors": runner.errors}
        # Of equals the first, so that the default stays where nothing is better.
        score, best = max(complete, key=lambda one: (one[0], -one[1].number))
        arms = {"default": self.config.defaults(), "best": best.settings}
        judged = {name: self.config.trial_cells(settings, judged=True) for name, settings in arms.items()}
        runner.run([cell for group in judged.values() for cell in group])
        scores = {
            name: {str(cell.seed): self.config.score_of(result) for cell in group for result in runner.results([cell])}
            for name, group in judged.items()
        }
        against = compare("best", scores["best"], {"default": scores["default"]})[0]
        return said | {
            "best": {"trial": best.number, "settings": best.settings, "score": score},
            "judged": {name: estimate(list(found.values())) for name, found in scores.items()},
            "gain": against.as_dict(),
            "errors": runner.errors,
        }


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
