"""What happened, and what it teaches: history, lineage, which strategy pays, and whether to go on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from meta_learning.acla.statistics import wilson

DISCOUNT = 0.9
PATIENCE_COUNT = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One entry of a history: the best prompt after an iteration, with the interval of its search score."""

    iteration: int
    score: float
    low: float
    high: float
    calls: int
    prompt_version: str


@dataclass(frozen=True, slots=True)
class Birth:
    """One candidate of the lineage, with what became of it."""

    iteration: int
    version: str
    parent: str | None
    strategy: str
    note: str
    items_count: int
    gain: float
    kept: bool


class PerformanceTracker:
    """Folds outcomes; decides nothing by itself except by the numbers it was given.

    >>> tracker = PerformanceTracker(["ablation"])
    >>> tracker.note_best(0, [1.0, 0.0, 1.0, 1.0], calls=4, version="a")
    >>> tracker.history[0]["score"]
    0.75
    """

    def __init__(self, strategies: Sequence[str]) -> None:
        self._points: list[Point] = []
        self.births: list[Birth] = []
        self._order = list(strategies)
        self._rewards = {name: [1.0, 1.0] for name in strategies}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The list of ``{iteration, score, low, high, calls, prompt_version}``."""
        return [asdict(point) for point in self._points]

    @property
    def lineage(self) -> list[dict[str, Any]]:
        """Every candidate with its parent, its strategy and what became of it."""
        return [asdict(birth) for birth in self.births]

    def note_best(self, iteration: int, scores: Sequence[float], calls: int, version: str) -> None:
        """Add a point to the history."""
        low, high = wilson(sum(scores), len(scores))
        mean = sum(scores) / len(scores) if scores else 0.0
        self._points.append(Point(iteration, mean, low, high, calls, version))

    def note_birth(self, birth: Birth) -> None:
        """Add a candidate to the lineage."""
        self.births.append(birth)

    def reward(self, strategy: str, success: float, calls: int, typical_calls: int) -> None:
        """Fold a strategy's success in [0, 1]; dear successes count for less, and old ones fade."""
        for counts in self._rewards.values():
            counts[0] = 1.0 + DISCOUNT * (counts[0] - 1.0)
            counts[1] = 1.0 + DISCOUNT * (counts[1] - 1.0)
        price = max(1.0, calls / max(1, typical_calls))
        self._rewards[strategy][0] += success / price
        self._rewards[strategy][1] += 1.0 - success / price

    def choose(self, iteration: int, rng: random.Random) -> str:
        """Each strategy once, in the given order; then by Thompson sampling (Thompson, 1933)."""
        if iteration <= len(self._order):
            return self._order[iteration - 1]
        return max(self._order, key=lambda name: rng.betavariate(*self._rewards[name]))

    def has_converged(self, good_enough: float, improvement: float) -> bool:
        """Every strategy had its turn, the best is good enough, and the last iterations gained less than ``improvement``."""
        if len(self._points) <= max(PATIENCE_COUNT, len(self._order)) or self._points[-1].score < good_enough:
            return False
        return self._points[-1].score - self._points[-1 - PATIENCE_COUNT].score < improvement
