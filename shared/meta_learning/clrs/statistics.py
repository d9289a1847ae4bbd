"""The few statistics that gates and scores share: means with bounds, concordance, distances between score distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.pair_counts import PairCounts

BINS = np.linspace(0.0, 1.0, 11)[1:-1]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares: enough for a mean and its standard error, and they add up over cycles.

    >>> both = Moments.of(np.array([0.0, 1.0])) + Moments.of(np.array([1.0]))
    >>> both.count, round(both.mean, 3)
    (3, 0.667)
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """The moments of ``values``, summed in order."""
        return cls(len(values), math.fsum(values), math.fsum(values * values))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """The mean; 0.0 of nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean; infinite below two values."""
        if self.count < 2:
            return math.inf
        variance = max(self.squares - self.count * self.mean**2, 0.0) / (self.count - 1)
        return math.sqrt(variance / self.count)


def wilson(share: float, count: float, z: float) -> tuple[float, float]:
    """Wilson's interval for a share of ``count`` trials.

    >>> [round(bound, 3) for bound in wilson(0.5, 100, 1.96)]
    [0.404, 0.596]
    """
    if count <= 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(max(share * (1 - share), 0.0) / count + z * z / (4 * count * count))
    return max(centre - half, 0.0), min(centre + half, 1.0)


@dataclass(frozen=True, slots=True)
class Concordance:
    """How well predictions order pairs of events: ``value`` in [0, 1] over ``pairs`` pairs of different true scores.

    ``variance`` is that of ``value`` (U-statistic, Hoeffding 1948); ``tied`` the share of pairs predicted alike, which count half.
    """

    value: float
    pairs: int
    variance: float
    tied: float


def concordance(predicted: Floats, true: Floats) -> Concordance | None:
    """Probability that a random pair of events is ordered as the user ordered it; None when all true scores are equal.

    For 0/1 scores it is the area under the ROC curve.

    >>> concordance(np.array([0.9, 0.2, 0.4]), np.array([1.0, 0.0, 1.0])).value
    1.0
    """
    counts = PairCounts.of(predicted, true)
    agreed, differing, tied = counts.agree, counts.differ, counts.tied
    pairs = int(differing.sum()) // 2
    if pairs == 0:
        return None
    value = float(agreed.sum()) / (2 * pairs)
    # Each event's share in the statistic, centred: the first-order projection of the U-statistic.
    projected = (agreed - value * differing) / (2 * pairs)
    count = len(true)
    variance = 4.0 * float((projected * projected).sum()) * count / max(count - 1, 1)
    return Concordance(value, pairs, variance, float(tied.sum()) / (2 * pairs))


def binned(scores: Floats) -> NDArray[np.int64]:
    """Counts in ten equal bins of [0, 1]."""
    return np.bincount(np.digitize(scores, BINS), minlength=len(BINS) + 1)


def js_distance(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Jensen-Shannon distance (base 2, in [0, 1]) of two histograms (Lin 1991; the root is a metric: Endres 2003).

    >>> js_distance(np.array([1, 0]), np.array([0, 1])), js_distance(np.array([2, 2]), np.array([5, 5]))
    (1.0, 0.0)
    """
    p, q = left / max(left.sum(), 1), right / max(right.sum(), 1)
    middle = (p + q) / 2
    divergence = 0.0
    for part in (p, q):
        held = part > 0
        divergence += 0.5 * float((part[held] * np.log2(part[held] / middle[held])).sum())
    return min(math.sqrt(max(divergence, 0.0)), 1.0)
