"""When did the mean of a loss rise? An alarm with a stated run length, and since which event."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Self

from meta_learning.clrs.drift.change_statistic import ChangeStatistic
from meta_learning.clrs.statistics import Moments

RUN_LENGTHS = (1_000.0, 10_000_000.0)
# Evidence that null streams reach once in so many events: fitted on streams of the model (`benchmarks/monitor/drift_errors.py`).
# The slowest of six error rates from .02 to .5, and a tenth on top: at 50,000 they asked for 12.3 to 12.8.
INTERCEPT, SLOPE = -0.65, 1.28


def threshold(run_length: float) -> float:
    """The evidence that independent losses without a change reach once in ``run_length`` events on average, or more rarely.

    >>> threshold(50_000.0) > threshold(10_000.0)
    True
    """
    return INTERCEPT + SLOPE * math.log(min(max(run_length, RUN_LENGTHS[0]), RUN_LENGTHS[1]))


class ChangeDetector:
    """Alarms when the mean of losses in [0, 1] rose; without a change about once in ``run_length`` events.

    After ``baseline_size`` losses, each block of four asks of a grid of earlier moments: are the losses since then higher
    than all those before? The evidence of a moment is Bernoulli's log likelihood ratio with both means unknown, so that the
    uncertainty of the baseline is part of it, over the dispersion of the losses (quasi-likelihood, McCullagh & Nelder 1989:
    Brier losses vary less than errors of the same mean), plus the logarithm of the events since, with which the largest
    behaves like the Shiryaev-Roberts sum over all moments. The limit for a run length was calibrated on independent null
    streams; it is not proved (`EDetector` has a proof, for a known level, and is slower).

    After an alarm the losses since the change are the next baseline. A fall of as much evidence is no alarm, but restarts
    the baseline there too, so that a model that learns is held to what it has become. Memory: 100 numbers.

    >>> detector = ChangeDetector(baseline_size=100, run_length=1000.0)
    >>> alarms = [detector.update(float(n % 5 == 0 or n >= 400)) for n in range(420)]
    >>> alarms.index(True), detector.changed_at
    (407, 400)
    """

    def __init__(self, baseline_size: int = 1000, run_length: float = 50_000.0) -> None:
        self.baseline_size, self.run_length = baseline_size, run_length
        self.seen = 0
        self.changed_at: int | None = None  # the event (counted from 0) that the last alarm says the rise began with
        self.before = Moments()  # of the losses before the last alarm's change
        self._reached = 0.0
        self._statistic = ChangeStatistic()

    @property
    def ready(self) -> bool:
        """Whether there is a baseline."""
        return self._statistic.count_before >= self.baseline_size

    @property
    def evidence(self) -> float | None:
        """How far towards an alarm, in [0, 1]; None without a baseline. Not a drift score: it wanders with no drift too."""
        return min(max(self._reached / threshold(self.run_length), 0.0), 1.0) if self.ready else None

    def update(self, loss: float) -> bool:
        """Fold one loss in [0, 1]; True when it raises the alarm."""
        self.seen += 1
        held = self._statistic
        if not self.ready:
            held.count_before, held.before = held.count_before + 1, held.before + loss
            held.squares += loss * loss
            return False
        return held.add(loss) and len(held.sizes) > 1 and self._judge()

    def _judge(self) -> bool:
        rise, fall, ages = self._statistic.evidence()
        limit = threshold(self.run_length)
        self._reached = float(rise.max())
        if self._reached >= limit:
            age = int(ages[rise.argmax()])
            self.changed_at = self.seen - age
            self._begin(age)
            return True
        if float(fall.max()) >= limit:
            self._begin(int(ages[fall.argmax()]))
        return False

    def _begin(self, age: int) -> None:
        held = self._statistic
        count, total, squares = held.count, held.before + math.fsum(held.sums), held.squares
        held.restart(age)
        self.before = Moments(
            int(count - held.count_before), float(total - held.before), max(float(squares - held.squares), 0.0)
        )
        self._reached = 0.0

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "seen": self.seen,
            "changed_at": self.changed_at,
            "before": asdict(self.before),
            "reached": self._reached,
            "statistic": asdict(self._statistic),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        detector = cls(**config)
        detector.seen, detector.changed_at = state["seen"], state["changed_at"]
        detector.before, detector._reached = Moments(**state["before"]), state["reached"]
        detector._statistic = ChangeStatistic(**{name: _copied(value) for name, value in state["statistic"].items()})
        return detector


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value
