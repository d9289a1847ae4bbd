"""What a number usually is in this loop, and how surprising a new one would be if nothing had changed."""

from __future__ import annotations

import math
from typing import Literal

from scipy.special import stdtr

COUNT_MIN = 8
COUNT_MAX = 50.0  # cycles of memory: then old ones fade
ODD = 0.01  # what is so unlikely is not taken for usual at once
ODD_RUN_MAX = 30  # but after so many cycles in a row, it is


class Reference:
    """Mean and variance of past cycles, and the p-value of a new one among them (Student's t, as for a prediction).

    ``floor``: the standard deviation is taken to be at least so large; below it a change means nothing.

    >>> usual = Reference(floor=0.01)
    >>> for value in [0.50, 0.52, 0.48, 0.51, 0.49, 0.50, 0.53, 0.47]:
    ...     usual.update(value)
    >>> usual.p_value(0.49, "below") > 0.1, usual.p_value(0.30, "below") < 1e-4
    (True, True)
    """

    def __init__(self, floor: float) -> None:
        self.floor = floor
        self.count, self.mean, self._squares = 0.0, 0.0, 0.0
        self._odd_run = 0

    @property
    def deviation(self) -> float:
        """Standard deviation between cycles."""
        spread = math.sqrt(self._squares / (self.count - 1.0)) if self.count > 1 else 0.0
        return max(spread, self.floor)

    def p_value(self, value: float, side: Literal["above", "below"]) -> float:
        """Chance of a value at least so far above or below; 1 while fewer than eight cycles are known."""
        if self.count < COUNT_MIN:
            return 1.0
        distance = (value - self.mean) / (self.deviation * math.sqrt(1.0 + 1.0 / self.count))
        return float(stdtr(self.count - 1.0, distance if side == "below" else -distance))

    def update(self, value: float) -> None:
        """Take a value for usual, unless it is odd; what stays odd for thirty cycles is the new usual."""
        if min(self.p_value(value, "above"), self.p_value(value, "below")) < ODD / 2:
            self._odd_run += 1
            if self._odd_run < ODD_RUN_MAX:
                return
            self.count, self.mean, self._squares = 0.0, 0.0, 0.0
        self._odd_run = 0
        if self.count >= COUNT_MAX:
            self._squares *= 1.0 - 1.0 / self.count
            self.count -= 1.0
        self.count += 1.0
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)

    def state(self) -> list[float]:
        """JSON."""
        return [self.count, self.mean, self._squares, self._odd_run]

    def restore(self, state: list[float]) -> None:
        """Go on from `state`."""
        self.count, self.mean, self._squares, self._odd_run = *state[:3], int(state[3])


class Run:
    """How many cycles in a row a condition has held."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.length = wanted, 0

    def holds(self, condition: bool) -> bool:
        """Fold one cycle; whether the condition has held often enough in a row."""
        self.length = min(self.length + 1, self.wanted) if condition else 0
        return self.length >= self.wanted
