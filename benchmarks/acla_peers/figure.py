"""The anytime curves as a figure: a colour a method, solid where labels are read, dashed where texts are; names at their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meta_learning.utils.figures import drawing, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = ("ours", "gepa", "mipro", "random", "capo")
# Distance of two names at the right edge, as a share of the height.
APART = 0.055
Points = Sequence[tuple[int, float]]


def saved(folder: Path, name: str, curves: Mapping[str, Points], levels: Mapping[str, float]) -> list[Path]:
    """``curves``: held-out accuracy after so many calls, an arm; ``levels``: prompts that cost no calls, as lines across."""
    folder.mkdir(parents=True, exist_ok=True)
    with drawing.styled():
        drawn = _anytime(curves, levels)
        files = {form: folder / f"{name}.{form}" for form in ("png", "svg")}
        for form, file in files.items():
            file.write_bytes(drawing.encoded(drawn, form))
    return list(files.values())


def spread(heights: Mapping[str, float], apart: float) -> dict[str, float]:
    """Heights of names, moved as little as it takes to stand ``apart``.

    >>> {name: round(height, 2) for name, height in spread({"a": 0.5, "b": 0.51, "c": 0.9}, 0.1).items()}
    {'a': 0.46, 'b': 0.56, 'c': 0.9}
    """
    names = sorted(heights, key=lambda name: heights[name])
    groups: list[list[str]] = [[name] for name in names]
    while True:
        placed = [_column(group, heights, apart) for group in groups]
        clash = next((i for i in range(len(groups) - 1) if placed[i + 1][0] - placed[i][-1] < apart - 1e-9), None)
        if clash is None:
            return {
                name: y for group, ys in zip(groups, placed, strict=True) for name, y in zip(group, ys, strict=True)
            }
        groups[clash : clash + 2] = [groups[clash] + groups[clash + 1]]


def _column(group: Sequence[str], heights: Mapping[str, float], apart: float) -> list[float]:
    middle = sum(heights[name] for name in group) / len(group)
    return [middle + apart * (place - (len(group) - 1) / 2) for place in range(len(group))]


def _anytime(curves: Mapping[str, Points], levels: Mapping[str, float]) -> Figure:
    figure, (axes,) = drawing.new_figure(8.2, 4.8)
    last = max(calls for points in curves.values() for calls, _ in points)
    ends = {arm: points[-1][1] for arm, points in curves.items()} | dict(levels)
    colours: dict[str, str] = {}
    for arm, points in curves.items():
        series = METHODS.index(arm.split("-")[0])
        by_label = arm == "ours" or arm.endswith("-label")
        colours[arm] = palette.SERIES[series]
        axes.plot(*zip(*points, strict=True), color=colours[arm], marker=palette.MARKERS[series], markersize=4.5, linewidth=1.8,
                  linestyle=palette.DASHES[0 if by_label else 1], clip_on=False)  # fmt: skip
    for name, height in levels.items():
        colours[name] = palette.FAINT
        axes.axhline(height, color=palette.FAINT, linewidth=1.0, linestyle=palette.DASHES[2])
    low, high = axes.get_ylim()
    high += 0.12 * (high - low)
    axes.set_ylim(low, high)
    for name, height in spread(ends, APART * (high - low)).items():
        lead = {"arrowstyle": "-", "color": colours[name], "linewidth": 0.6, "shrinkA": 1, "relpos": (0, 0.5)}
        axes.annotate(name, (last, ends[name]), xytext=(1.06 * last, height), color=colours[name], va="center", fontsize=9,
                      annotation_clip=False, arrowprops=lead)  # fmt: skip
    axes.set_xlim(0, last)
    axes.set_xlabel("model calls spent")
    axes.set_ylabel("held-out accuracy")
    drawing.titled(
        axes, "What each arm would have answered after so many calls", "solid: reads labels · dashed: reads text"
    )
    return figure
