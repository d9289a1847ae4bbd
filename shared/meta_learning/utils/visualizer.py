"""Figures of experiments as files: PNG to paste, SVG to print, and one HTML page that needs nothing else.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     paths = MetaLearningVisualizer(folder).plot_curriculum_learning([0.5, None, 0.7], save_name="run")
...     [path.name for path in paths]
['run.png', 'run.svg']
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from meta_learning.errors import CallerError
from meta_learning.utils.dashboard import page
from meta_learning.utils.figures import curves, drawing, gains, labels, lineage, loop, pareto, quality, strategies
from meta_learning.utils.figures.histories import Point, read_history
from meta_learning.utils.lines import write_whole
from meta_learning.utils.logger import DATA_FOLDER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = "figures"
Form = Literal["png", "svg"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class MetaLearningVisualizer:
    """Draws into ``folder``; every method returns the paths that it wrote, one a form.

    A history is a list of ``{iteration, score, low, high, calls, prompt_version}`` or of plain numbers; None is "collecting".
    The same numbers give the same SVG, byte for byte, on one version of matplotlib.

    Raises:
        ConfigurationError: matplotlib (the extra ``figures``) is not installed. Raised on drawing, not here.
        CallerError: a name is no file name, or a history cannot be read.
        StoreUnavailable: the disk refuses.
    """

    def __init__(self, folder: str | Path = DATA_FOLDER / FIGURES, forms: Sequence[Form] = ("png", "svg")) -> None:
        self.folder = Path(folder)
        self.forms = tuple(forms)

    def plot_curriculum_learning(
        self, performance_history: Sequence[Point], save_name: str = "curriculum_learning"
    ) -> list[Path]:
        """The best prompt's score after each iteration, with its interval."""
        return self._save(save_name, lambda: curves.curriculum(read_history(performance_history)))

    def plot_comparison(
        self,
        meta_prompting_history: Sequence[Point],
        baseline_history: Sequence[Point],
        save_name: str = "comparison",
    ) -> list[Path]:
        """Meta-prompting beside the static prompt."""
        meta, baseline = read_history(meta_prompting_history), read_history(baseline_history)
        return self._save(save_name, lambda: curves.comparison(meta, baseline))

    def plot_clrs_metrics(
        self,
        drift_scores: Sequence[Point],
        alignment_scores: Sequence[Point],
        coherence_scores: Sequence[Point],
        save_name: str = "clrs_metrics",
        thresholds: Mapping[str, float | None] | None = None,
    ) -> list[Path]:
        """The closed loop's three scores over its cycles."""
        scores = {"drift": drift_scores, "alignment": alignment_scores, "coherence": coherence_scores}
        histories = {name: read_history(points, first=1) for name, points in scores.items()}
        return self._save(save_name, lambda: loop.clrs_metrics(histories, thresholds))

    def plot_anytime(self, histories: Mapping[str, Sequence[Point]], save_name: str = "anytime") -> list[Path]:
        """Best score against the calls that were spent, a line a run."""
        read = {name: read_history(points) for name, points in histories.items()}
        return self._save(save_name, lambda: curves.anytime(read))

    def plot_lineage(self, births: Sequence[Mapping[str, Any]], save_name: str = "lineage") -> list[Path]:
        """The tree of prompts; ``births`` is a result's ``lineage``."""
        return self._save(save_name, lambda: lineage.tree(births))

    def plot_strategies(self, births: Sequence[Mapping[str, Any]], save_name: str = "strategies") -> list[Path]:
        """The gain of every candidate by the strategy that made it; ``births`` is a result's ``lineage``."""
        return self._save(save_name, lambda: strategies.effectiveness(births))

    def plot_confusion(
        self,
        matrix: Sequence[Sequence[int]],
        labels: Sequence[str],
        answers: Sequence[str] | None = None,
        save_name: str = "confusion",
    ) -> list[Path]:
        """Expected answers (rows) against given ones (columns: ``labels``, or ``answers`` where there are others)."""
        return self._save(save_name, lambda: quality.confusion(matrix, labels, answers))

    def plot_drift(
        self,
        kinds: Mapping[str, Sequence[Point]],
        alarms: Sequence[float] = (),
        threshold: float = 0.3,
        save_name: str = "drift",
    ) -> list[Path]:
        """Drift scores by kind, with marks at the cycles (or events) where an alarm was raised."""
        read = {name: read_history(points, first=1) for name, points in kinds.items()}
        return self._save(save_name, lambda: loop.drift(read, alarms, threshold))

    def plot_satisfaction(self, worlds: Mapping[str, Sequence[Point]], save_name: str = "satisfaction") -> list[Path]:
        """Satisfied users by cycle, a line a world; ``worlds`` is the ``satisfaction`` of a feedback-loop study's report."""
        read = {name: read_history(points, first=1) for name, points in worlds.items()}
        return self._save(save_name, lambda: loop.satisfaction(read))

    def plot_reliability(
        self, bins: Sequence[Mapping[str, Any]], error: float | None = None, save_name: str = "reliability"
    ) -> list[Path]:
        """Accuracy against stated confidence; ``bins`` and ``error`` as an evaluation's ``calibration`` has them."""
        return self._save(save_name, lambda: quality.reliability(bins, error))

    def plot_pareto(
        self, points: Sequence[Mapping[str, Any]], cost: str = "calls", save_name: str = "pareto"
    ) -> list[Path]:
        """Score against cost; a point is ``{name, cost, score}``, with ``low`` and ``high`` where known."""
        return self._save(save_name, lambda: pareto.front(points, cost))

    def plot_gains(self, comparisons: Sequence[Mapping[str, Any]], save_name: str = "gains") -> list[Path]:
        """Paired gains with their intervals; ``comparisons`` as the reports of comparisons and studies have them."""
        return self._save(save_name, lambda: gains.forest(comparisons))

    def plot_labels(self, arms: Mapping[str, Sequence[Mapping[str, Any]]], save_name: str = "labels") -> list[Path]:
        """Score by the number of labels, a line an arm; ``arms`` as a study's ``by_labels`` has them."""
        return self._save(save_name, lambda: labels.curve(arms))

    def create_dashboard(self, experiment_results: Mapping[str, Any], save_name: str = "dashboard") -> Path:
        """One HTML file with every figure that the results have the numbers for; it opens without a network.

        ``experiment_results``: the results of a run, of a comparison, of a study, a loop's summary, or several of them by name.
        """
        with drawing.styled():
            html = page(experiment_results)
        path = self.folder / f"{_checked(save_name).removesuffix('.html')}.html"
        write_whole(path, html.encode("utf-8", errors="replace"))
        return path

    def _save(self, name: str, draw: Callable[[], Figure]) -> list[Path]:
        stem, forms = _forms(_checked(name), self.forms)
        with drawing.styled():
            figure = draw()
            blobs = {form: drawing.encoded(figure, form) for form in forms}
        paths = {form: self.folder / f"{stem}.{form}" for form in forms}
        for form, path in paths.items():
            write_whole(path, blobs[form])
        return list(paths.values())


def _forms(name: str, forms: Sequence[str]) -> tuple[str, Sequence[str]]:
    """A name with an ending asks for that form alone."""
    stem, dot, ending = name.rpartition(".")
    return (stem, [ending]) if dot and ending in ("png", "svg") else (name, forms)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CallerError(f"{name!r} is no name of a figure: use letters, digits, '.', '_' and '-'")
    return name
