"""For each event, how many others does it differ from, and how many of them are predicted in the same order?

Looking at all pairs takes time in n²: a second at 10,000 events. Sorting takes n log n: a hundredth of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.port import Floats

Places = NDArray[np.int64]

MATRIX_MAX = 200  # events up to which all pairs at once are sooner


@dataclass(frozen=True, slots=True)
class PairCounts:
    """For each event the weight of the others that ``differ`` in truth, ``agree`` in order, or are predicted alike (``tied``).

    Tied ones count half in ``agree``.

    >>> counts = PairCounts.of(np.array([0.9, 0.2, 0.2]), np.array([1.0, 0.0, 1.0]))
    >>> counts.differ.tolist(), counts.agree.tolist(), counts.tied.tolist()
    ([1.0, 2.0, 1.0], [1.0, 1.5, 0.5], [0.0, 1.0, 1.0])
    """

    agree: Floats
    differ: Floats
    tied: Floats

    @classmethod
    def of(
        cls, predicted: Floats, true: Floats, weights: Floats | None = None, groups: Places | None = None
    ) -> PairCounts:
        """Count all pairs; with ``groups`` only those inside a group, negative groups left out.

        Beyond 200 events sums of weights are differences of running sums: exact for whole numbers, else to 12 digits.
        """
        count = len(true)
        weight = np.ones(count) if weights is None else weights
        group = np.zeros(count, dtype=np.int64) if groups is None else groups
        kept = np.flatnonzero(group >= 0)
        found = np.zeros((3, count))
        if len(kept):
            count_them = _by_matrix if len(kept) <= MATRIX_MAX else _by_sorting
            found[:, kept] = count_them(predicted[kept], true[kept], weight[kept], group[kept])
        return cls(*found)


def _by_matrix(predicted: Floats, true: Floats, weight: Floats, group: Places) -> Floats:
    order = np.sign(true[:, None] - true[None, :]) * (group[:, None] == group[None, :])
    guess = np.sign(predicted[:, None] - predicted[None, :])
    judged = np.abs(order)
    differ = judged @ weight
    return np.stack([(differ + (order * guess) @ weight) / 2.0, differ, (judged * (guess == 0)) @ weight])


def _by_sorting(predicted: Floats, true: Floats, weight: Floats, group: Places) -> Floats:
    guess, rank, team = _ranks(predicted), _ranks(true), _ranks(group)
    bits, guesses = int(rank.max()).bit_length(), int(guess.max()) + 1
    same = _ranks((team << bits) + rank)
    differ = _rest(team, same, weight)
    tied = _rest(_ranks(team * guesses + guess), _ranks(same * guesses + guess), weight)
    return np.stack([_ordered(guess, (team << bits) + rank, weight, bits) + tied / 2.0, differ, tied])


def _rest(group: Places, part: Places, weight: Floats) -> Floats:
    """For each event the weight of its group less that of the part of it that the event is in; 0 where they are one."""
    sizes = np.bincount(group)[group] - np.bincount(part)[part]
    found = np.bincount(group, weights=weight)[group] - np.bincount(part, weights=weight)[part]
    return np.where(sizes > 0, found, 0.0)


def _ordered(predicted: Places, true: Places, weight: Floats, bits: int) -> Floats:
    """The weight of the events that lie on the same side in both, those of equal leading bits of ``true`` compared.

    Bit by bit from the top, as a wavelet tree does: of two events that first differ in this bit, the one with the bit set
    is truly above. Within the block of equal bits above it, in the order of the predictions, running sums do the rest.
    """
    found = np.zeros(len(true))
    order = np.argsort(predicted, kind="stable")
    for bit in reversed(range(bits)):
        order = order[np.argsort(true[order] >> (bit + 1), kind="stable")]
        block, above = true[order] >> (bit + 1), (true[order] >> bit & 1).astype(bool)
        first, last = _runs(block)
        begin, end = _runs(block * (int(predicted.max()) + 1) + predicted[order])
        low = np.concatenate([[0.0], np.cumsum(np.where(above, 0.0, weight[order]))])
        high = np.concatenate([[0.0], np.cumsum(np.where(above, weight[order], 0.0))])
        found[order] += np.where(above, low[begin] - low[first], high[last] - high[end])
    return found


def _runs(values: Places) -> tuple[Places, Places]:
    """For each place of a sorted array, where the run of equal values around it begins, and where it has ended."""
    begins = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    sizes = np.diff(np.concatenate([begins, [len(values)]]))
    return np.repeat(begins, sizes), np.repeat(begins + sizes, sizes)


def _ranks(values: NDArray[np.float64] | Places) -> Places:
    """Ranks from 0, equal values alike."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    found = np.zeros(len(values), dtype=np.int64)
    found[order] = np.cumsum(np.concatenate([[0], ordered[1:] != ordered[:-1]]))
    return found
