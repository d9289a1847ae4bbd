"""What a point of quality costs: the runs that no other run beats on both, and those that are beaten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meta_learning.utils.figures import drawing, naming, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# About the share of the panel that a name takes; and where names begin to stand to the left of their points.
NAME_SHARE, TURN = 0.2, 0.7
# So far above or below its point a name stands clear of the line.
BESIDE_PT = 9.0
# More names than this stand beside the panel, each with its marker: at the points they would cover each other.
NAMED_AT_POINTS_MAX = 5


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
    """Score against ``cost`` (what the x axis is called); a point is ``{name, cost, score}``, with ``low`` and ``high``.

    What has no score is left out.
    """
    points = [one for one in points if one["score"] is not None]
    looks = _looks(points)
    figure, (axes,) = drawing.new_figure(width=8.6 if looks else 7.2, height=naming.height_for(len(looks)))
    best = front_of(points)
    if not points:
        drawing.titled(axes, "Score against cost")
        drawing.empty(axes, "no runs to compare")
        return figure
    drawing.titled(axes, *_titles(points, best))
    line = [points[index] for index in best]
    steps = [one["cost"] for one in line], [one["score"] for one in line]
    axes.step(*steps, where="post", color=palette.SERIES[0], linewidth=1.4)
    for index, one in enumerate(points):
        look = palette.look(looks.get(index, 0))
        face = look.colour if index in best else palette.PAPER
        if one.get("low") is not None:
            axes.plot([one["cost"]] * 2, [one["low"], one["high"]], color=palette.FAINT, linewidth=1, zorder=1)
        style: dict[str, Any] = {"facecolor": face, "edgecolor": look.colour, "linewidth": 1.3, "zorder": 3}
        axes.scatter(
            one["cost"], one["score"], s=58 if index in looks or not looks else 14, marker=look.marker, **style
        )
    axes.margins(x=0.16, y=0.12)
    axes.set_xlabel(cost)
    axes.set_ylabel("score")
    panel_pt = 72 * figure.get_figheight() - naming.MARGINS_PT
    if looks:
        naming.named(axes, [_row(points[index], look, index in best) for index, look in looks.items()], panel_pt)
    else:
        _name(axes, points, set(best), panel_pt)
    return figure


def _looks(points: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """The marker of each point that is named beside the panel: none of few; of too many to tell apart those that score best."""
    if len(points) <= NAMED_AT_POINTS_MAX:
        return {}
    order = sorted(range(len(points)), key=lambda index: (-points[index]["score"], points[index]["cost"]))
    return {index: look for look, index in enumerate(order[: palette.LOOKS_MAX])}


def _titles(points: Sequence[Mapping[str, Any]], best: Sequence[int]) -> tuple[str, str]:
    on_it = f"{len(best)} of {len(points)} {'is' if len(best) == 1 else 'are'} on the front"
    bars = "; bars: 95 % interval" if any(one.get("low") is not None for one in points) else ""
    return f"Score against cost: {on_it}", f"filled: on the front, nothing has more for less{bars}"


def _row(point: Mapping[str, Any], look: int, on_the_front: bool) -> naming.Ending:
    """A name beside the panel says its numbers too: points may lie on each other."""
    said = f"{point['name']}: {point['score']:.3f} for {point['cost']:.4g}"
    return naming.Ending(said, point["score"], look, lined=False, filled=on_the_front)


def _name(axes: Axes, points: Sequence[Mapping[str, Any]], best: set[int], panel_pt: float) -> None:
    """Each name beside its point, above the line of the front or below it; those that would touch move apart."""
    (bottom, top), (left, right) = axes.get_ylim(), axes.get_xlim()
    at = [((one["cost"] - left) / (right - left), (one["score"] - bottom) / (top - bottom)) for one in points]
    for group in columns([x for x, _ in at]):
        wanted = [at[index][1] + (BESIDE_PT if index in best else -BESIDE_PT) / panel_pt for index in group]
        places = naming.spread(wanted, naming.ROW_PT / panel_pt, 0.02, 0.98)
        for index, place in zip(group, places, strict=True):
            rightwards = at[index][0] < TURN
            axes.annotate(
                str(points[index]["name"]).replace("_", " "),
                at[index],
                (14 if rightwards else -14, (place - at[index][1]) * panel_pt),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="left" if rightwards else "right",
                va="center",
                fontsize=naming.FONT_SIZE,
                bbox={"facecolor": palette.PAPER, "edgecolor": "none", "pad": 0.6},
                arrowprops={"arrowstyle": "-", "color": palette.FAINT, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4},
                zorder=2,
            )


def columns(places: Sequence[float], apart: float = NAME_SHARE) -> list[list[int]]:
    """Points whose names may meet, together: those that lie within ``apart`` of the first of them, from left to right.

    >>> columns([0.1, 0.9, 0.15])
    [[0, 2], [1]]
    """
    found: list[list[int]] = []
    for index in sorted(range(len(places)), key=lambda one: places[one]):
        if found and places[index] - places[found[-1][0]] <= apart:
            found[-1].append(index)
        else:
            found.append([index])
    return found
