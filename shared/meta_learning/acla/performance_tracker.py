"""What happened, and why: history, lineage, and a reason for every decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from meta_learning.acla.statistics import wilson

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


@dataclass
class Birth:
    """One candidate of the lineage, with what became of it. ``gain`` is over the seed, ``chance`` that it is truly one."""

    iteration: int
    version: str
    parent: str | None
    strategy: str
    note: str
    items_count: int = 0
    gain: float = 0.0
    chance: float = 0.5
    kept: bool = False


class PerformanceTracker:
    """Folds outcomes; decides nothing by itself except by the numbers it was given.

    >>> tracker = PerformanceTracker()
    >>> tracker.note_best(0, [1.0, 0.0, 1.0, 1.0], calls=4, version="a")
    >>> tracker.history[0]["score"]
    0.75
    """

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._births: dict[str, Birth] = {}
        self.decisions: list[dict[str, Any]] = []

    @property
    def history(self) -> list[dict[str, Any]]:
        """The list of ``{iteration, score, low, high, calls, prompt_version}``."""
        return [asdict(point) for point in self._points]

    @property
    def lineage(self) -> list[dict[str, Any]]:
        """Every candidate with its parent, its strategy and what became of it."""
        return [asdict(birth) for birth in self._births.values()]

    def note_best(self, iteration: int, scores: Sequence[float], calls: int, version: str) -> None:
        """Add a point to the history."""
        low, high = wilson(sum(scores), len(scores))
        mean = sum(scores) / len(scores) if scores else 0.0
        self._points.append(Point(iteration, mean, low, high, calls, version))

    def note_birth(self, birth: Birth) -> None:
        """Add a candidate to the lineage."""
        self._births[birth.version] = birth

    def birth(self, version: str) -> Birth:
        """A candidate's entry, to be brought up to date."""
        return self._births[version]

    def explain(self, iteration: int, decision: str, because: str, **numbers: float) -> None:
        """Keep a decision with its reason and the numbers it rests on."""
        rounded = {name: round(number, 6) for name, number in numbers.items()}
        self.decisions.append({"iteration": iteration, "decision": decision, "because": because, "numbers": rounded})

    def is_good_and_still(self, good_enough: float, improvement: float) -> bool:
        """The best is good enough, luck aside, and the last iterations gained less than ``improvement``."""
        if len(self._points) <= PATIENCE_COUNT or self._points[-1].low < good_enough:
            return False
        return self._points[-1].score - self._points[-1 - PATIENCE_COUNT].score < improvement
