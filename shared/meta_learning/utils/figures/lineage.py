"""The tree of prompts: who descends from whom, when, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meta_learning.utils.figures import drawing, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Place = tuple[float, float]


def tree(lineage: Sequence[Mapping[str, Any]]) -> Figure:
    """Iterations from left to right, siblings below each other; the line of descent of the last leader is drawn strong."""
    births = [birth for birth in lineage if birth["version"]]
    places = _places(births)
    rows = max((abs(place[1]) for place in places.values()), default=0.0)
    figure, (axes,) = drawing.new_figure(height=min(9.0, 2.4 + 0.62 * (2 * rows + 1)))
    leaders = [birth for birth in births if birth["kept"]]
    # With thresholds the first prompt is still the first prompt, and no candidate that anybody made.
    made = sum(birth["strategy"] != "calibration" for birth in births)
    title = f"Lineage: {made} candidates, {len(leaders)} took the lead"
    drawing.titled(
        axes,
        title,
        "gain that is expected, in points: less than was counted; filled: took the lead; strong: ancestors of the last leader",
    )
    strong = _ancestors(births, leaders[-1]["version"]) if leaders else set()
    for birth in births:
        _edge(axes, places, birth, strong)
    _node(axes, places[None], "first\nprompt", filled=True, strategy=None)
    names = sorted({birth["strategy"] for birth in births})
    for birth in births:
        said = f"{100 * birth['gain']:+.0f}" if birth["items_count"] else "–"
        _node(axes, places[birth["version"]], said, filled=bool(birth["kept"]), strategy=names.index(birth["strategy"]))
    for number, name in enumerate(names):
        axes.plot([], [], linestyle="", marker=_marker(number), color=palette.SERIES[0], label=name.replace("_", " "))
    axes.margins(x=0.08, y=0.16)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("iteration")
    drawing.whole_numbers(axes)
    iterations = sorted({int(birth["iteration"]) for birth in births})
    axes.set_xticks(iterations[:: max(1, len(iterations) // 16)])
    if names:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def _places(births: Sequence[Mapping[str, Any]]) -> dict[str | None, Place]:
    """Each prompt's place; None is the first prompt. A version that was born twice stays where it was first."""
    columns: dict[int, list[str]] = {}
    for birth in births:
        column = columns.setdefault(int(birth["iteration"]), [])
        if birth["version"] not in column and not any(birth["version"] in other for other in columns.values()):
            column.append(birth["version"])
    places: dict[str | None, Place] = {None: (min([0, *columns]) - (1 if 0 in columns else 0), 0.0)}
    for iteration, versions in columns.items():
        for row, version in enumerate(versions):
            places[version] = (float(iteration), (len(versions) - 1) / 2 - row)
    return places


def _ancestors(births: Sequence[Mapping[str, Any]], version: str) -> set[str]:
    parents = {birth["version"]: birth["parent"] for birth in reversed(births)}
    line: set[str] = set()
    while version in parents and version not in line:
        line.add(version)
        version = parents[version]
    return line


def _edge(axes: Axes, places: Mapping[str | None, Place], birth: Mapping[str, Any], strong: set[str]) -> None:
    start, end = places.get(birth["parent"], places[None]), places[birth["version"]]
    if start == end:
        return
    on_line = birth["version"] in strong
    colour, width = (palette.INK, 2.4) if on_line else (palette.FAINT, 0.9)
    middle = (start[0] + end[0]) / 2
    axes.plot([start[0], middle, end[0]], [start[1], end[1], end[1]], color=colour, linewidth=width, zorder=1)


def _node(axes: Axes, place: Place, said: str, *, filled: bool, strategy: int | None) -> None:
    face = palette.SERIES[0] if filled else palette.PAPER
    marker = "o" if strategy is None else _marker(strategy)
    axes.scatter(*place, s=150, marker=marker, facecolor=face, edgecolor=palette.SERIES[0], linewidth=1.4, zorder=3)
    box = {"facecolor": palette.PAPER, "edgecolor": "none", "pad": 0.8}
    axes.annotate(
        said, place, (0, -11), textcoords="offset points", ha="center", va="top", fontsize=8, bbox=box, zorder=2
    )


def _marker(number: int) -> str:
    return ("o", "s", "^", "D", "v", "P", "X", "h")[number % 8]
