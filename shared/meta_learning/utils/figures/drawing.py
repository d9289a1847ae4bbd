"""How every figure looks, and how it becomes bytes: the same bytes for the same numbers, on the same version of matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from meta_learning.errors import ConfigurationError
from meta_learning.utils.figures import palette
from meta_learning.utils.figures.histories import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same everywhere
    "font.size": 10,
    "axes.edgecolor": palette.FAINT,
    "axes.labelcolor": palette.INK,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": palette.GRID,
    "grid.linewidth": 0.8,
    "xtick.color": palette.FAINT,
    "ytick.color": palette.FAINT,
    "xtick.labelcolor": palette.INK,
    "ytick.labelcolor": palette.INK,
    "text.color": palette.INK,
    "legend.frameon": False,
    "svg.hashsalt": "meta-learning",  # ids from a salt, not from chance
    "svg.fonttype": "path",
    "text.parse_math": False,  # a label may hold a dollar
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise ConfigurationError("figures need matplotlib: pip install 'meta-learning-loop[figures]'") from None
    with matplotlib.rc_context(cast(Any, STYLE)):
        yield


def new_figure(width: float = 7.2, height: float = 4.2, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with ``rows`` panels over one x axis; no window, no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor=palette.PAPER)
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)
    return figure, [panel[0] for panel in panels]


def encoded(figure: Figure, form: str) -> bytes:
    """The figure as ``png`` or ``svg``, without a date in it."""
    if figure.get_layout_engine() is not None:
        # Laid out once: each saving would move things by a hair, and differently after another form was saved.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    buffer = BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    figure.savefig(buffer, format=form, dpi=160, metadata=metadata)
    return buffer.getvalue()


def titled(axes: Axes, title: str, note: str = "") -> None:
    """What there is to see, above the panel; below it, smaller, how to read it."""
    axes.set_title(title, loc="left", fontsize=11.5, fontweight="bold", pad=22 if note else 8)
    if note:
        axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=8.5, color=palette.FAINT, va="bottom")


def empty(axes: Axes, said: str = "collecting: nothing can be said yet") -> None:
    """A panel that has nothing to show says so."""
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", color=palette.FAINT, fontsize=11)
    axes.grid(visible=False)


def line(axes: Axes, history: History, series: int, label: str, by_calls: bool = False, banded: bool = True) -> None:
    """A line with its interval; a gap where nothing was known, and a dot where a point stands alone."""
    x = history.calls if by_calls else history.iterations
    # What is the best stays so until the next is known: of calls a slope would show scores that nobody ever had.
    look = palette.look(series)
    if history.has_interval and banded:
        axes.fill_between(
            x,
            history.lows,
            history.highs,
            color=look.colour,
            alpha=0.16,
            linewidth=0,
            step="post" if by_calls else None,
        )
    axes.plot(
        x,
        history.scores,
        color=look.colour,
        linestyle=look.dash,
        drawstyle="steps-post" if by_calls else "default",
        marker=look.marker,
        markersize=4.5,
        # Of a long line only some: enough to tell it from the others in grey, and few enough to see its course.
        markevery=max(1, round(len(x) / 24)) if len(x) > 60 else 1,
        linewidth=1.8,
        label=label,
    )


def unit_axis(axes: Axes, histories: Sequence[History], label: str = "score", banded: bool = True) -> None:
    """A y axis for scores in [0, 1]: as much of it as what is drawn needs (intervals too if ``banded``), at least a tenth."""
    import numpy as np

    drawn = [[one.scores, one.lows, one.highs] if banded else [one.scores] for one in histories]
    seen = np.concatenate([column for columns in drawn for column in columns] or [np.zeros(0)])
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    room = max(0.05, 0.12 * (high - low))
    axes.set_ylim(max(-0.02, low - room), min(1.02, high + room))
    axes.set_ylabel(label)


def span(axes: Axes, histories: Iterable[History]) -> None:
    """An x axis over all iterations, also those of which nothing is known yet."""
    ends = [float(one.iterations[index]) for one in histories if one.iterations.size for index in (0, -1)]
    if ends and min(ends) < max(ends):
        room = 0.03 * (max(ends) - min(ends))
        axes.set_xlim(min(ends) - room, max(ends) + room)


def whole_numbers(axes: Axes) -> None:
    """Ticks at whole iterations only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
