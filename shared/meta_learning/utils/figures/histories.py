"""Histories of every accepted form as one: a list of points, or of plain numbers, with None where nothing is known yet.

>>> history = read_history([0.5, None, {"iteration": 2, "score": 0.7, "low": 0.6, "high": 0.8, "calls": 90}])
>>> history.scores.tolist(), history.iterations.tolist(), history.last
([0.5, nan, 0.7], [0.0, 1.0, 2.0], 0.7)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_learning.errors import CallerError

Point = Mapping[str, Any] | float | int | None
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """Arrays of equal length, NaN where unknown; ``versions`` of the prompts, empty where not given."""

    iterations: Floats
    scores: Floats
    lows: Floats
    highs: Floats
    calls: Floats
    versions: tuple[str, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is a score."""
        return np.asarray(np.isfinite(self.scores))

    @property
    def first(self) -> float | None:
        """The first score that is known."""
        return float(self.scores[self.known][0]) if self.known.any() else None

    @property
    def last(self) -> float | None:
        """The last score that is known."""
        return float(self.scores[self.known][-1]) if self.known.any() else None

    @property
    def has_interval(self) -> bool:
        """Whether some point says how sure it is."""
        return bool(np.isfinite(self.lows).any() and np.isfinite(self.highs).any())

    @property
    def has_calls(self) -> bool:
        """Whether the points say what they cost."""
        return bool(self.known.any() and np.isfinite(self.calls[self.known]).all())


def read_history(points: Sequence[Point], first: int = 0) -> History:
    """The history; a plain number's iteration is its place, counted from ``first``: 0 for the seed prompt, 1 for cycles.

    Raises:
        CallerError: a point is neither a number, nor None, nor a mapping with a ``score``; the message names its place.
    """
    read = [_read(point, place) for place, point in enumerate(points)]

    def column(name: str) -> Floats:
        return np.array([_number(one.get(name)) for one in read], dtype=np.float64)

    versions = tuple(str(one.get("prompt_version") or "") for one in read)
    iterations = [_number(one.get("iteration", place)) for place, one in enumerate(read, first)]
    scores, lows, highs, calls = (column(name) for name in ("score", "low", "high", "calls"))
    return History(np.array(iterations, dtype=np.float64), scores, lows, highs, calls, versions)


def _read(point: Point, place: int) -> Mapping[str, Any]:
    if point is None:
        return {}
    if isinstance(point, Mapping) and "score" in point:
        return point
    if isinstance(point, Mapping) or not isinstance(point, int | float | np.number):
        raise CallerError(f"point {place} of the history is {point!r}: give a number, None, or a mapping with a score")
    return {"score": float(point)}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
