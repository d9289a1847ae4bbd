"""Which strategy pays: the gain of every candidate over the first prompt, by the strategy that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meta_learning.utils.figures import drawing, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def effectiveness(lineage: Sequence[Mapping[str, Any]]) -> Figure:
    """One row a strategy, best mean first: a dot a candidate (filled: it took the lead), a bar for the mean."""
    asked = [birth for birth in lineage if birth["items_count"]]
    names = sorted({birth["strategy"] for birth in asked}, key=lambda name: _mean(asked, name))
    figure, (axes,) = drawing.new_figure(height=1.6 + 0.55 * max(2, len(names)))
    if not names:
        drawing.titled(axes, "Gain by strategy")
        drawing.empty(axes, "no candidate was measured")
        return figure
    best = names[-1]
    drawing.titled(
        axes,
        f"Gain by strategy: {_words(best)} first, {_mean(asked, best):+.1f} points",
        "dot: a candidate (filled: it led; larger: more items); bar: mean",
    )
    largest = max(birth["items_count"] for birth in asked)
    for row, name in enumerate(names):
        _row(axes, row, [birth for birth in asked if birth["strategy"] == name], largest)
    axes.axvline(0, color=palette.FAINT, linewidth=1)
    axes.set_yticks(range(len(names)), [_labelled(asked, name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("gain over the first prompt on the items both answered, in points")
    return figure


def _row(axes: Axes, row: int, births: Sequence[Mapping[str, Any]], largest: int) -> None:
    gains = [100 * birth["gain"] for birth in births]
    # Spread a little, by their order and not by chance, so that equal gains stay visible.
    offsets = (np.arange(len(gains)) % 5 - min(len(gains) - 1, 4) / 2) * 0.11
    for birth, gain, offset in zip(births, gains, offsets, strict=True):
        filled = palette.SERIES[0] if birth["kept"] else "none"
        size = 18 + 70 * birth["items_count"] / largest
        axes.scatter(gain, row + offset, s=size, facecolor=filled, edgecolor=palette.SERIES[0], linewidth=1.2, zorder=3)
    axes.plot([np.mean(gains)] * 2, [row - 0.36, row + 0.36], color=palette.ALARM, linewidth=2.6, zorder=4)


def _mean(births: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([100 * birth["gain"] for birth in births if birth["strategy"] == name]))


def _labelled(births: Sequence[Mapping[str, Any]], name: str) -> str:
    own = [birth for birth in births if birth["strategy"] == name]
    return f"{_words(name)}\n{len(own)} tried, {sum(bool(birth['kept']) for birth in own)} led"


def _words(name: str) -> str:
    return name.replace("_", " ")
