"""The closed loop's scores over its cycles: drift, alignment and coherence, and drift with its alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from meta_learning.utils.figures import drawing, naming, palette
from meta_learning.utils.figures.histories import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Name, threshold by default, and on which side of it the loop is in trouble.
SCORES = (("drift", 0.3, "above"), ("alignment", 0.7, "below"), ("coherence", None, "below"))
PANEL_IN = 3.2


def clrs_metrics(scores: Mapping[str, History], thresholds: Mapping[str, float | None] | None = None) -> Figure:
    """One panel a score, over the same cycles; shaded where a threshold is crossed, empty where still collecting."""
    figure, panels = drawing.new_figure(height=6.4, rows=len(SCORES))
    for series, (axes, (name, threshold, trouble)) in enumerate(zip(panels, SCORES, strict=True)):
        limit = (thresholds or {}).get(name, threshold)
        _panel(axes, scores[name], series, name, limit, trouble)
    drawing.span(panels[-1], scores.values())
    drawing.whole_numbers(panels[-1])
    panels[-1].set_xlabel("cycle")
    return figure


def drift(kinds: Mapping[str, History], alarms: Sequence[float], threshold: float = 0.3) -> Figure:
    """Drift scores by kind, with a mark wherever an alarm was raised."""
    figure, (axes,) = drawing.new_figure()
    raised = {0: "no alarm", 1: "one alarm"}.get(len(alarms), f"{len(alarms)} alarms")
    drawing.titled(axes, f"Drift: {raised}", "triangles at the top: alarms; dashed: threshold")
    known = {name: one for name, one in kinds.items() if one.last is not None}
    for series, (name, history) in enumerate(known.items()):
        drawing.line(axes, history, series, name)
    if not known:
        drawing.empty(axes)
    axes.axhline(threshold, color=palette.FAINT, linewidth=1.2, linestyle=(0, (4, 2)))
    for alarm in alarms:
        axes.axvline(alarm, color=palette.ALARM, linewidth=1, alpha=0.7, zorder=1)
        axes.plot(alarm, 1.0, marker="v", color=palette.ALARM, markersize=6, clip_on=False, linestyle="")
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("drift score")
    drawing.span(axes, kinds.values())
    axes.set_xlabel("cycle")
    drawing.whole_numbers(axes)
    endings = [naming.Ending(name, one.last or 0.0, series) for series, (name, one) in enumerate(known.items())]
    naming.named(axes, endings, 72 * figure.get_figheight() - naming.MARGINS_PT)
    return figure


def satisfaction(histories: Mapping[str, History]) -> Figure:
    """The share of interactions in which users got what they wanted, a line a world; no more in one panel than can be told apart."""
    known = {name: one for name, one in histories.items() if one.last is not None}
    groups = _panels(list(known))
    figure, panels = drawing.new_figure(width=8.6, height=1.3 + PANEL_IN * len(groups), rows=len(groups))
    # Bands that lie over each other hide what they show.
    banded = len(known) <= 2 and any(one.has_interval for one in known.values())
    note = "bands: 95 % interval over the seeds" if banded else "means over the seeds" if known else ""
    said = {name: short for group in groups for name, short in zip(group, naming.in_common(group)[1], strict=True)}
    kinds = list(dict.fromkeys(said.values()))
    for axes, group in zip(panels, groups, strict=True):
        shared = naming.in_common(group)[0] if group else ""
        drawing.titled(axes, f"Satisfied users by cycle{': ' * bool(shared)}{shared}", note)
        if not group:
            drawing.empty(axes)
            continue
        # The same users look the same in every panel, as long as there are looks enough.
        looks = {
            name: kinds.index(said[name]) if len(kinds) <= palette.LOOKS_MAX else at for at, name in enumerate(group)
        }
        for name in group:
            drawing.line(axes, known[name], looks[name], name, banded=banded)
        drawing.unit_axis(axes, list(known.values()), "satisfied", banded)
        ends = [naming.Ending(said[name], known[name].last or 0.0, looks[name]) for name in group]
        naming.named(axes, ends, 72 * PANEL_IN - 40)
    drawing.span(panels[-1], known.values())
    drawing.whole_numbers(panels[-1])
    panels[-1].set_xlabel("cycle")
    return figure


def _panels(names: Sequence[str]) -> list[list[str]]:
    """Worlds of one way to answer together, no more in a panel than there are colours; a name is ``texts · users · way``.

    >>> _panels(["tweets · stable", "tweets · stable · chosen", "tweets · lazy"])
    [['tweets · stable', 'tweets · lazy'], ['tweets · stable · chosen']]
    """
    count, by_way = len(palette.SERIES), dict[tuple[str, ...], list[str]]()
    for name in names:
        by_way.setdefault(tuple(name.split(" · ")[2:]), []).append(name)
    return [way[start : start + count] for way in by_way.values() for start in range(0, len(way), count)] or [[]]


def _panel(axes: Axes, history: History, series: int, name: str, limit: float | None, trouble: str) -> None:
    last = history.last
    shown = "collecting" if last is None else f"{last:.2f}"
    limited = "" if limit is None else f", in trouble {trouble} {limit:g}"
    drawing.titled(axes, f"{name.capitalize()}: {shown}")
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.text(
        1.0, 1.04, limited.removeprefix(", "), transform=axes.transAxes, ha="right", fontsize=8.5, color=palette.FAINT
    )
    if limit is not None:
        edges = (limit, 1.03) if trouble == "above" else (-0.03, limit)
        axes.axhspan(*edges, color=palette.GRID, alpha=0.55, linewidth=0)
    if last is None:
        drawing.empty(axes)
        return
    drawing.line(axes, history, series, name)
