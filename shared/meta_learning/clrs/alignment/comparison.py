"""Pairwise comparison of a batch: which pairs of events did the predictions order as the users did?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.pair_counts import PairCounts


@dataclass(frozen=True, slots=True)
class Tally:
    """Weighted sums over the pairs of one batch; they add up over batches.

    ``agreed / mass`` is the concordance. ``events`` have at least one partner with another score. ``moments`` are the sums
    over events of a², a d and d², a the agreed and d the differing pairs of one event: what the variance of the U-statistic
    (Hoeffding 1948) needs around any centre, so that a batch with a single dislike adds its share too.

    >>> both = tally(np.array([0.9, 0.2]), np.array([1.0, 0.0])) + tally(np.array([0.9, 0.2]), np.array([0.0, 1.0]))
    >>> both.value, both.events
    (0.5, 4)
    """

    events: int = 0
    mass: float = 0.0
    agreed: float = 0.0
    tied: float = 0.0
    moments: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __add__(self, other: Tally) -> Tally:
        return Tally.of_numbers([a + b for a, b in zip(self.numbers(), other.numbers(), strict=True)])

    def numbers(self) -> list[float]:
        """The sums as a list, for JSON."""
        return [self.events, self.mass, self.agreed, self.tied, *self.moments]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> Tally:
        """Read `numbers` back."""
        events, mass, agreed, tied, *moments = numbers
        return cls(int(events), mass, agreed, tied, (moments[0], moments[1], moments[2]))

    @property
    def value(self) -> float:
        """The concordance in [0, 1]; 0.5 of nothing."""
        return self.agreed / self.mass if self.mass else 0.5

    @property
    def tied_share(self) -> float:
        """Share of the pairs that were predicted alike: they count half."""
        return self.tied / self.mass if self.mass else 1.0

    @property
    def effective(self) -> float:
        """Effective number of events, ``(sum of d)^2 / sum of d^2`` (Kish 1965, with the pairs of each event as its weight).

        Uneven weights lower it, and so does rare feedback: ten dislikes among ninety likes tell as much as 36 events.
        """
        return 4.0 * self.mass**2 / self.moments[2] if self.moments[2] else 0.0

    @property
    def variance(self) -> float:
        """Variance of the concordance, kept away from 0 where few pairs have all agreed."""
        count = self.effective
        if not self.mass or count <= 1:
            return math.inf
        agreed, both, differing = self.moments
        spread = (agreed - 2.0 * self.value * both + self.value**2 * differing) * count / (count - 1.0)
        drawn = (self.value * count + 1.0) / (count + 2.0)  # as if one pair more had agreed, and one more had not
        return max(spread / self.mass**2, drawn * (1.0 - drawn) / (4.0 * count))


def tally(
    predicted: Floats, true: Floats, weights: Floats | None = None, groups: NDArray[np.int64] | None = None
) -> Tally:
    """Compare all pairs of different true scores; with ``groups`` only those inside a group, negative groups left out.

    A pair weighs the product of its events' weights. Time in n log n.
    """
    return _summed(*_per_event(predicted, true, weights, groups))


def tallies(predicted: Floats, true: Floats, weights: Floats, groups: NDArray[np.int64]) -> dict[int, Tally]:
    """One tally for each group of at least two events, over the pairs inside it."""
    parts = _per_event(predicted, true, weights, groups)
    order = np.argsort(groups, kind="stable")
    names, starts = np.unique(groups[order], return_index=True)
    found = {}
    for name, inside in zip(names.tolist(), np.split(order, starts[1:]), strict=True):
        if name >= 0 and len(inside) > 1:
            found[name] = _summed(*(part[inside] for part in parts))
    return found


def _per_event(
    predicted: Floats, true: Floats, weights: Floats | None, groups: NDArray[np.int64] | None
) -> tuple[Floats, Floats, Floats]:
    """For each event the weights of the pairs that agreed, that differ at all, and that were predicted alike."""
    counts = PairCounts.of(predicted, true, weights, groups)
    weight = 1.0 if weights is None else weights
    return counts.agree * weight, counts.differ * weight, counts.tied * weight


def _summed(agreed: Floats, differing: Floats, tied: Floats) -> Tally:
    mass = float(differing.sum()) / 2.0
    if mass <= 0.0:
        return Tally()
    moments = (math.fsum(agreed * agreed), math.fsum(agreed * differing), math.fsum(differing * differing))
    return Tally(int((differing > 0).sum()), mass, float(agreed.sum()) / 2.0, float(tied.sum()) / 2.0, moments)
