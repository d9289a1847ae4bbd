"""Who gains over whom: paired comparisons as one row each, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meta_learning.utils.figures import drawing, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def forest(comparisons: Sequence[Mapping[str, Any]]) -> Figure:
    """One row a comparison, largest gain on top; filled where chance is ruled out after correction for their number."""
    known = sorted((one for one in comparisons if one["gain"] is not None), key=lambda one: float(one["gain"]))
    figure, (axes,) = drawing.new_figure(height=1.5 + 0.3 * max(3, len(known)))
    shown = [one["p_adjusted"] < one["alpha"] for one in known]
    title = f"Gains: {sum(shown)} of {len(known)} beyond chance"
    drawing.titled(axes, title, "bars: 95 % interval; filled: beyond chance after correction")
    if not known:
        drawing.empty(axes, "nothing was compared")
        return figure
    for row, (one, is_shown) in enumerate(zip(known, shown, strict=True)):
        if one["low"] is not None:  # items of one group alone have no interval
            axes.plot([100 * one["low"], 100 * one["high"]], [row, row], color=palette.FAINT, linewidth=1.4, zorder=2)
        face = palette.SERIES[0] if is_shown else palette.PAPER
        axes.scatter(100 * one["gain"], row, s=46, facecolor=face, edgecolor=palette.SERIES[0], linewidth=1.3, zorder=3)
    axes.axvline(0, color=palette.FAINT, linewidth=1)
    axes.set_yticks(range(len(known)), [_name(one, known) for one in known], fontsize=8.5)
    axes.set_ylim(-0.7, len(known) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        "points" if len({one["against"] for one in known}) > 1 else f"points over {_words(known[0]['against'])}"
    )
    return figure


def _name(one: Mapping[str, Any], among: Sequence[Mapping[str, Any]]) -> str:
    """Who, and over whom where that is not the same in every row."""
    alone = len({other["against"] for other in among}) == 1
    return _words(one["arm"]) if alone else f"{_words(one['arm'])} over {_words(one['against'])}"


def _words(name: str) -> str:
    """Without what the computer reads: ``only:ablation @ 300`` is ``only ablation``, at its number of calls.

    >>> _words("only:few_shot_optimization @ 1,000")
    'only few shot optimization, 1,000 calls'
    """
    strategy, _, calls = name.partition(" @ ")
    return strategy.replace("_", " ").replace(":", " ") + (f", {calls} calls" if calls else "")
