"""How a classifier errs: which answers it mixes up, and whether it means what it says about its own confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meta_learning.errors import CallerError
from meta_learning.utils.figures import drawing, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], answers: Sequence[str] | None = None) -> Figure:
    """Expected answers in rows, given ones in columns; shaded by the share of the row, with the counts written out.

    Raises:
        CallerError: the matrix does not have a row a label and a column an answer.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts, columns = np.asarray(matrix, dtype=np.int64), list(answers or labels)
    if counts.shape != (len(labels), len(columns)):
        raise CallerError(f"the matrix is {counts.shape}; {len(labels)} labels and {len(columns)} answers were given")
    side = 2.6 + 0.62 * max(len(columns), len(labels))
    figure, (axes,) = drawing.new_figure(width=max(5.2, side + 1.6), height=max(3.6, side))
    right = sum(counts[row, columns.index(label)] for row, label in enumerate(labels) if label in columns)
    total = int(counts.sum())
    drawing.titled(axes, f"Answers: {right} of {total} right", "shade: share of the row")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("counts", palette.SHADES), vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        colour = palette.PAPER if shares[row, column] > 0.5 else palette.INK
        axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(columns)), columns, rotation=30 if len(columns) * max(map(len, columns)) > 48 else 0)
    axes.set_yticks(range(len(labels)), list(labels))
    axes.set_xlabel("answer given")
    axes.set_ylabel("answer expected")
    axes.grid(visible=False)
    return figure


def reliability(bins: Sequence[Mapping[str, Any]], error: float | None = None) -> Figure:
    """Accuracy against stated confidence, a point a bin with its interval; the diagonal is a model that means what it says.

    A bin is ``{confidence, accuracy, count}``, with ``low`` and ``high`` where known; empty bins may be left out or None.
    """
    known = [one for one in bins if one and one["count"]]
    figure, (axes,) = drawing.new_figure(width=5.2, height=4.8)
    shown = "" if error is None else f": expected calibration error {error:.3f}"
    drawing.titled(axes, f"Reliability{shown}", "dot size: answers in the bin; bars: 95 % interval; dashed: perfect")
    axes.plot([0, 1], [0, 1], color=palette.FAINT, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="confidence of the answer", ylabel="share that was right")
    if not known:
        drawing.empty(axes)
        return figure
    largest = max(one["count"] for one in known)
    for one in known:
        at = one["confidence"], one["accuracy"]
        if "low" in one:
            axes.plot([at[0]] * 2, [one["low"], one["high"]], color=palette.SERIES[0], linewidth=1.2, alpha=0.7)
        axes.scatter(*at, s=25 + 130 * one["count"] / largest, color=palette.SERIES[0], zorder=3)
    axes.plot(
        [one["confidence"] for one in known], [one["accuracy"] for one in known], color=palette.SERIES[0], linewidth=1
    )
    return figure
