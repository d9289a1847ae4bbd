"""Scores over iterations or calls: one run, a run beside its baseline, many runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from meta_learning.utils.figures import drawing, palette
from meta_learning.utils.figures.histories import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELLED_CHANGES_MAX = 8
NOTE = "band: 95 % interval"


def curriculum(history: History) -> Figure:
    """The best prompt's score after each iteration; rings mark where another prompt took the lead."""
    figure, (axes,) = drawing.new_figure()
    first, last = history.first, history.last
    if first is None or last is None:
        drawing.titled(axes, "Best prompt by iteration")
        drawing.empty(axes)
        return figure
    drawing.titled(axes, f"Best prompt by iteration: {first:.3f} to {last:.3f}", _note(history))
    axes.axhline(first, color=palette.FAINT, linewidth=1, linestyle=(0, (2, 2)))
    drawing.line(axes, history, 0, "best prompt")
    drawing.unit_axis(axes, [history], "score on the search items")
    _mark_changes(axes, history)
    drawing.whole_numbers(axes)
    axes.set_xlabel("iteration" + (f" ({int(np.nanmax(history.calls)):,} calls in all)" if history.has_calls else ""))
    return figure


def comparison(meta: History, baseline: History) -> Figure:
    """Meta-prompting beside the static prompt, each named at the end of its line."""
    figure, (axes,) = drawing.new_figure()
    if meta.last is None or baseline.last is None:
        drawing.titled(axes, "Meta-prompting and the static prompt")
        if meta.last is None and baseline.last is None:
            drawing.empty(axes)
            return figure
    else:
        ahead = 100 * (meta.last - baseline.last)
        where = (
            "level with" if abs(ahead) < 0.05 else f"{abs(ahead):.1f} points {'ahead of' if ahead > 0 else 'behind'}"
        )
        drawing.titled(axes, f"Meta-prompting ends {where} the static prompt", _note(meta, baseline))
    drawing.line(axes, baseline, 1, "static prompt")
    drawing.line(axes, meta, 0, "meta-prompting")
    drawing.unit_axis(axes, [meta, baseline])
    drawing.whole_numbers(axes)
    axes.set_xlabel("iteration")
    axes.legend(*_ordered(axes), loc="best")
    return figure


def anytime(curves: Mapping[str, History]) -> Figure:
    """The best score that each run had when it had spent so many calls; iterations where calls are not known.

    Raises:
        CallerError: more curves than can be told apart.
    """
    names = list(curves)
    figure, (axes,) = drawing.new_figure()
    by_calls = all(one.has_calls for one in curves.values() if one.last is not None)
    unit = "calls" if by_calls else "iteration"
    drawing.titled(
        axes,
        f"Best score by {unit}",
        "lines end in their 95 % interval" if len(curves) > 2 else _note(*curves.values()),
    )
    known = [name for name in names if curves[name].last is not None]
    # Bands that lie over each other hide what they show: with more than two lines, bars at their ends instead.
    banded = len(known) <= 2
    for place, name in enumerate(known):
        series = names.index(name) % len(palette.SERIES)
        drawing.line(axes, curves[name], series, name, by_calls, banded)
        if not banded:
            _end_bar(axes, curves[name], series, place, by_calls)
    if not known:
        drawing.empty(axes)
        return figure
    drawing.unit_axis(axes, [curves[name] for name in known])
    axes.set_xlabel("model calls spent" if by_calls else "iteration")
    axes.legend(loc="best")
    return figure


def _note(*histories: History) -> str:
    return NOTE if any(one.has_interval for one in histories) else ""


def _end_bar(axes: Axes, history: History, series: int, place: int, by_calls: bool) -> None:
    """The interval of a line's last point, a little to the right of it, beside those of the other lines."""
    from matplotlib.transforms import ScaledTranslation

    index = int(np.flatnonzero(history.known)[-1])
    x = float((history.calls if by_calls else history.iterations)[index])
    ends = [float(history.lows[index]), float(history.highs[index])]
    if not np.isfinite(ends).all():
        return
    shift = ScaledTranslation((9 + 7 * place) / 72, 0, axes.figure.dpi_scale_trans)
    style: dict[str, Any] = {
        "color": palette.SERIES[series],
        "linewidth": 1.6,
        "marker": "_",
        "markersize": 6,
        "clip_on": False,
    }
    axes.plot([x, x], ends, transform=axes.transData + shift, **style)


def _ordered(axes: Axes) -> tuple[list[Any], list[str]]:
    """The legend in the order in which the lines end, top first."""
    handles, labels = axes.get_legend_handles_labels()
    last = []
    for handle in handles:
        end = np.asarray(cast(Any, handle).get_ydata(), dtype=np.float64)
        last.append(float(end[np.isfinite(end)][-1]) if np.isfinite(end).any() else -1.0)
    order = sorted(range(len(handles)), key=lambda index: -last[index])
    return [handles[index] for index in order], [labels[index] for index in order]


def _mark_changes(axes: Axes, history: History) -> None:
    known = [index for index in range(len(history.scores)) if history.known[index] and history.versions[index]]
    changes = [index for before, index in pairwise(known) if history.versions[index] != history.versions[before]]
    for index in changes:
        at = (history.iterations[index], history.scores[index])
        axes.plot(*at, marker="o", markersize=11, markerfacecolor="none", markeredgecolor=palette.ALARM, linestyle="")
        if len(changes) <= LABELLED_CHANGES_MAX:
            text = history.versions[index][:6]
            axes.annotate(text, at, (0, 9), textcoords="offset points", ha="center", fontsize=8, color=palette.FAINT)
