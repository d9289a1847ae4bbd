"""Scores over the number of labels: what each arm makes of more of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meta_learning.utils.figures import drawing, naming, palette
from meta_learning.utils.figures.histories import read_history

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Bars at one number of labels stand beside each other, this far apart (a factor, since the axis is logarithmic).
STEP = 1.025


def curve(arms: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """A line an arm with its 95 % intervals; points are ``{labels, score, low, high}``, as a study's ``by_labels`` has them.

    Of more arms than can be told apart those are drawn that end best.
    """
    known = {name: [one for one in points if one["score"] is not None] for name, points in arms.items()}
    ended = sorted((name for name in known if known[name]), key=lambda name: -known[name][-1]["score"])[
        : palette.LOOKS_MAX
    ]
    figure, (axes,) = drawing.new_figure(width=8.6, height=naming.height_for(len(ended)))
    drawing.titled(axes, "Score by the number of labels", "bars: 95 % intervals")
    if not ended:
        drawing.empty(axes)
        return figure
    counts = sorted({int(one["labels"]) for name in ended for one in known[name]})
    for series, name in enumerate(ended):
        look, shift = palette.look(series), STEP ** (series - (len(ended) - 1) / 2)
        at = [shift * one["labels"] for one in known[name]]
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.dash, "marker": look.marker, "markersize": 4.5}
        axes.plot(at, [one["score"] for one in known[name]], linewidth=1.8, **style)
        for place, one in zip(at, known[name], strict=True):
            if one["low"] is not None and one["high"] is not None:
                axes.plot([place, place], [one["low"], one["high"]], color=look.colour, linewidth=1.1, alpha=0.75)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("labelled items")
    drawing.unit_axis(axes, [read_history(known[name]) for name in ended])
    endings = [naming.Ending(name, known[name][-1]["score"], series) for series, name in enumerate(ended)]
    naming.named(axes, endings, 72 * figure.get_figheight() - naming.MARGINS_PT)
    return figure
