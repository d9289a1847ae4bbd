"""What a point of quality costs: the runs that no other run beats on both, and those that are beaten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meta_learning.utils.figures import drawing, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def front_of(points: Sequence[Mapping[str, Any]]) -> list[int]:
    """Which points no other point beats: at most its cost and at least its score, and better in one. By rising cost.

    >>> front_of([{"cost": 1, "score": 0.5}, {"cost": 2, "score": 0.4}, {"cost": 3, "score": 0.7}])
    [0, 2]
    """
    order = sorted(range(len(points)), key=lambda index: (points[index]["cost"], -points[index]["score"]))
    kept: list[int] = []
    for index in order:
        if not kept or points[index]["score"] > points[kept[-1]]["score"]:
            kept.append(index)
    return kept


def front(points: Sequence[Mapping[str, Any]], cost: str) -> Figure:
    """Score against ``cost`` (what the x axis is called); a point is ``{name, cost, score}``, with ``low`` and ``high``."""
    figure, (axes,) = drawing.new_figure()
    best = front_of(points)
    drawing.titled(axes, f"Score against cost: {len(best)} of {len(points)} are on the front", "bars: 95 % interval")
    if not points:
        drawing.empty(axes, "no runs to compare")
        return figure
    line = [points[index] for index in best]
    axes.step(
        [one["cost"] for one in line],
        [one["score"] for one in line],
        where="post",
        color=palette.SERIES[0],
        linewidth=1.4,
    )
    for index, one in enumerate(points):
        face = palette.SERIES[0] if index in best else palette.PAPER
        if one.get("low") is not None:
            axes.plot([one["cost"]] * 2, [one["low"], one["high"]], color=palette.FAINT, linewidth=1, zorder=1)
        axes.scatter(
            one["cost"], one["score"], s=58, facecolor=face, edgecolor=palette.SERIES[0], linewidth=1.3, zorder=3
        )
        place = (7, 6 - 12 * _near(points, index))
        axes.annotate(str(one["name"]), (one["cost"], one["score"]), place, textcoords="offset points", fontsize=8.5)
    axes.margins(x=0.16, y=0.12)
    axes.set_xlabel(cost)
    axes.set_ylabel("score")
    return figure


def _near(points: Sequence[Mapping[str, Any]], index: int) -> int:
    """How many earlier points lie so near that their names would cover this one's.

    >>> _near([{"cost": 0, "score": 0.50}, {"cost": 0, "score": 0.51}, {"cost": 9, "score": 0.9}], 1)
    1
    """
    here = points[index]
    spans = [max(one[axis] for one in points) - min(one[axis] for one in points) for axis in ("cost", "score")]
    return sum(
        abs(one["cost"] - here["cost"]) <= 0.1 * spans[0] and abs(one["score"] - here["score"]) <= 0.1 * spans[1]
        for one in points[:index]
    )
