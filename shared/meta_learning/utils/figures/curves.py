"""Scores over iterations or calls: one run, a run beside its baseline, many runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from meta_learning.utils.figures import drawing, naming, palette
from meta_learning.utils.figures.histories import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELLED_CHANGES_MAX = 8
NOTE = "band: 95 % interval"
ENDS_NOTE = "right of the panel: where each line ends, with its 95 % interval"
BARS_FROM_PT, BAR_PT = 8.0, 8.0


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
    ends = (("meta-prompting", meta), ("static prompt", baseline))
    endings = [naming.Ending(name, one.last, at) for at, (name, one) in enumerate(ends) if one.last is not None]
    naming.named(axes, endings, 72 * figure.get_figheight() - naming.MARGINS_PT)
    return figure


def anytime(curves: Mapping[str, History]) -> Figure:
    """The best score that each run had when it had spent so many calls; iterations where calls are not known.

    Of more runs than can be told apart those are drawn that end best.
    """
    ended = {name: one for name, one in curves.items() if one.last is not None}
    best = sorted(ended, key=lambda name: -(ended[name].last or 0.0))[: palette.LOOKS_MAX]
    known = {name: one for name, one in ended.items() if name in best}
    figure, (axes,) = drawing.new_figure(width=8.6, height=naming.height_for(len(known)))
    by_calls = all(one.has_calls for one in known.values())
    # Bands that lie over each other hide what they show: with more than two lines, bars at their ends instead.
    banded = len(known) <= 2
    note = _note(*known.values()) if banded else ENDS_NOTE if _note(*known.values()) else ""
    which = "" if len(known) == len(ended) else f", the best {len(known)} of {len(ended)}"
    drawing.titled(axes, f"Best score by {'calls' if by_calls else 'iteration'}{which}", note)
    if not known:
        drawing.empty(axes)
        return figure
    for series, (name, history) in enumerate(known.items()):
        drawing.line(axes, history, series, name, by_calls, banded)
    drawing.unit_axis(axes, list(known.values()))
    axes.set_xlabel("model calls spent" if by_calls else "iteration")
    if not by_calls:
        drawing.whole_numbers(axes)
    bars = 0 if banded else _end_bars(axes, list(known.values()))
    endings = [naming.Ending(name, one.last or 0.0, series) for series, (name, one) in enumerate(known.items())]
    naming.named(axes, endings, 72 * figure.get_figheight() - naming.MARGINS_PT, BARS_FROM_PT + BAR_PT * bars)
    return figure


def _note(*histories: History) -> str:
    return NOTE if any(one.has_interval for one in histories) else ""


def _end_bars(axes: Axes, histories: Sequence[History]) -> int:
    """The interval of each line's last point, in a column of its own right of the panel, best first; how many there are."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    ends = [(float(one.lows[one.known][-1]), float(one.highs[one.known][-1])) for one in histories]
    order = sorted(range(len(histories)), key=lambda index: -(histories[index].last or 0.0))
    shown = [index for index in order if np.isfinite(ends[index]).all()]
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for place, index in enumerate(shown):
        look = palette.look(index)
        shift = ScaledTranslation((BARS_FROM_PT + BAR_PT * place) / 72, 0, axes.figure.dpi_scale_trans)
        style: dict[str, Any] = {"color": look.colour, "clip_on": False, "transform": beside + shift}
        axes.plot([1.0, 1.0], ends[index], linewidth=1.6, solid_capstyle="butt", **style)
        axes.plot([1.0], [histories[index].last or 0.0], marker=look.marker, markersize=4.5, linestyle="", **style)
    return len(shown)


def _mark_changes(axes: Axes, history: History) -> None:
    known = [index for index in range(len(history.scores)) if history.known[index] and history.versions[index]]
    changes = [index for before, index in pairwise(known) if history.versions[index] != history.versions[before]]
    for index in changes:
        at = (history.iterations[index], history.scores[index])
        axes.plot(*at, marker="o", markersize=11, markerfacecolor="none", markeredgecolor=palette.ALARM, linestyle="")
        if len(changes) <= LABELLED_CHANGES_MAX:
            text = history.versions[index][:6]
            axes.annotate(text, at, (0, 9), textcoords="offset points", ha="center", fontsize=8, color=palette.FAINT)
