"""Names beside the ends of lines, each with a piece of its line: nothing is covered, and no legend has to be searched.

>>> spread([0.50, 0.51, 0.90], 0.1, 0.0, 1.0)
[0.455, 0.555, 0.9]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meta_learning.utils.figures import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_SIZE = 8.5
ROW_PT = 13.0
# What a figure needs above and below its panels: the title, the note, the axis and its name.
MARGINS_PT = 92.0
SAMPLE_PT = 24.0


class Ending(NamedTuple):
    """``at``: the last score of the line, in the units of the axis; not ``lined``: a point, hollow if not ``filled``."""

    name: str
    at: float
    series: int
    lined: bool = True
    filled: bool = True


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to the ``wanted`` ones as they can be with ``gap`` between them, in the same order, from ``low`` to ``high``.

    Those that would touch become a block around their mean, of equals the first on top; without room for all, they lie evenly.

    >>> spread([0.0, 0.0], 0.2, 0.0, 1.0)
    [0.2, 0.0]
    >>> spread([0.9, 0.1], 0.2, 0.0, 1.0)
    [0.9, 0.1]
    """
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], -index))
    gap = min(gap, (high - low) / max(1, len(order) - 1))
    blocks: list[list[float]] = []  # [sum of the first places that its members ask for, members]
    for index in order:
        blocks.append([wanted[index], 1.0])
        while len(blocks) > 1 and _start(blocks[-2], gap, low, high) + gap * blocks[-2][1] > _start(
            blocks[-1], gap, low, high
        ):
            asked, members = blocks.pop()
            blocks[-1][0] += asked - members * gap * blocks[-1][1]
            blocks[-1][1] += members
    places = [_start(block, gap, low, high) + gap * step for block in blocks for step in range(int(block[1]))]
    found = dict(zip(order, places, strict=True))
    return [round(found[index], 6) for index in range(len(wanted))]


def height_for(rows: int, least: float = 4.2) -> float:
    """The height in inches of a figure of one panel beside which ``rows`` names find room."""
    return max(least, (rows * ROW_PT + MARGINS_PT) / 72)


def named(axes: Axes, endings: Sequence[Ending], panel_pt: float, offset_pt: float = 8.0) -> None:
    """Write each name to the right of ``axes`` (about ``panel_pt`` high), ``offset_pt`` away, where its line ends.

    The limits of the y axis must be set before.
    """
    from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea

    bottom, top = axes.get_ylim()
    wanted = [(one.at - bottom) / (top - bottom) for one in endings]
    for one, place in zip(endings, spread(wanted, ROW_PT / panel_pt, 0.0, 1.0), strict=True):
        row = HPacker(
            children=[_sample(one), TextArea(one.name.replace("_", " "), textprops={"fontsize": FONT_SIZE})],
            align="center",
            pad=0,
            sep=5,
        )
        axes.add_artist(
            AnnotationBbox(
                row,
                (1.0, place),
                (offset_pt, 0),
                xycoords="axes fraction",
                boxcoords="offset points",
                box_alignment=(0.0, 0.5),
                frameon=False,
                pad=0,
                annotation_clip=False,
            )
        )


def in_common(names: Sequence[str], between: str = " · ") -> tuple[str, list[str]]:
    """The parts that all ``names`` share, to be said once, and the names without them.

    >>> in_common(["tweets · stable · chosen", "tweets · lazy · chosen"])
    ('tweets · chosen', ['stable', 'lazy'])
    >>> in_common(["tweets"])
    ('', ['tweets'])
    """
    parts = [name.split(between) for name in names]
    shared = [part for part in parts[0] if all(part in other for other in parts[1:])] if len(parts) > 1 else []
    rest = [between.join(part for part in own if part not in shared) for own in parts]
    return between.join(shared), [short or name for short, name in zip(rest, names, strict=True)]


def _sample(ending: Ending) -> Any:
    """A piece of the line, with its marker."""
    from matplotlib.lines import Line2D
    from matplotlib.offsetbox import DrawingArea

    look = palette.look(ending.series)
    width = SAMPLE_PT if ending.lined else SAMPLE_PT / 2
    area = DrawingArea(width, 8)
    style: dict[str, Any] = {"color": look.colour, "linewidth": 1.8}
    if ending.lined:
        area.add_artist(Line2D([0, width], [4, 4], linestyle=look.dash, **style))
    face = look.colour if ending.filled else palette.PAPER
    size = 4.5 if ending.lined else 6.5
    area.add_artist(
        Line2D([width / 2], [4], marker=look.marker, markersize=size, markerfacecolor=face, linestyle="", **style)
    )
    return area


def _start(block: Sequence[float], gap: float, low: float, high: float) -> float:
    """Where a block's first member lies: the mean of what its members ask for, within the bounds."""
    asked, members = block
    return min(max(asked / members, low), high - gap * (members - 1))
