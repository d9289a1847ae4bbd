"""Numbers with their uncertainty: shares by Wilson's interval, everything else by resampling items.

>>> proportion(8, 10).rounded
{'value': 0.8, 'low': 0.49, 'high': 0.943, 'count': 10}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
LEVEL = 0.95
RESAMPLES_COUNT = 2000
BATCH_COUNT_MAX = 400_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval over ``count`` items; all None where nothing was measured."""

    value: float | None
    low: float | None
    high: float | None
    count: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @property
    def rounded(self) -> dict[str, Any]:
        """To three digits, to read."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


NOTHING = Estimate(None, None, None, 0)


def proportion(successes: int, count: int) -> Estimate:
    """A share with Wilson's interval (1927)."""
    if count == 0:
        return NOTHING
    found = stats.binomtest(successes, count).proportion_ci(LEVEL, method="wilson")
    return Estimate(successes / count, float(found.low), float(found.high), count)


def mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """A mean with its percentile bootstrap interval (Efron, 1979); a share's exact one where all values are 0 or 1."""
    array = np.asarray(values, dtype=np.float64)
    if array.size and np.isin(array, (0.0, 1.0)).all():
        return proportion(int(array.sum()), array.size)
    return resampled(array, lambda drawn: drawn.mean(axis=1), seed)


def resampled(values: Floats, statistic: Callable[[Floats], Floats], seed: int) -> Estimate:
    """``statistic`` of ``values`` (items first), with the interval of what it is on resampled items.

    ``statistic`` takes an array of samples × items (× whatever an item holds) and gives one number a sample.
    """
    count = len(values)
    if count == 0:
        return NOTHING
    rng = np.random.default_rng(seed)
    rows = max(1, BATCH_COUNT_MAX // count)
    drawn = [
        statistic(values[rng.integers(0, count, size=(min(rows, RESAMPLES_COUNT - start), count))])
        for start in range(0, RESAMPLES_COUNT, rows)
    ]
    low, high = np.quantile(np.concatenate(drawn), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(statistic(values[None])[0]), float(low), float(high), count)
