"""Do the nearest questions get alike scores? Measured against what any two questions of the batch get."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Moments

NEIGHBOURS = 3
ASKED_MAX = 1000  # events whose neighbours are looked for
BLOCK_ROWS = 256


def neighbour_agreement(fields: Sequence[sparse.csr_matrix], scores: Floats) -> Moments | None:
    """Per event, 1 - (difference to its nearest neighbours) / (mean difference of all); None when all scores are equal.

    0 is what chance gives (the mean over all permutations of the scores), 1 is neighbours that agree exactly. ``fields``:
    weighted words of the inputs and of the outputs, each by itself, so that a one-word answer weighs as much as its question.
    Of more than 1,000 events a random 1,000 are asked for their neighbours among all: the moments are theirs, and the standard
    error grows accordingly (of values that spread by .5, to .016).
    """
    count = len(scores)
    usual = _mean_difference(scores)
    if usual < 1e-6:
        return None
    asked = np.arange(count)
    if count > ASKED_MAX:
        asked = np.sort(np.random.default_rng(count).choice(count, ASKED_MAX, replace=False))
    nearest = _nearest(fields, asked)
    return Moments.of(1.0 - np.abs(scores[nearest] - scores[asked, None]).mean(axis=1) / usual)


def _nearest(fields: Sequence[sparse.csr_matrix], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most alike others of each asked event, most alike first, equally alike ones in their order; shape (asked, 3)."""
    turned = [field.T.tocsr() for field in fields]
    found = np.zeros((len(asked), NEIGHBOURS), dtype=np.int64)
    for start in range(0, len(asked), BLOCK_ROWS):  # a cycle of 10,000 at once would take gigabytes
        rows = asked[start : start + BLOCK_ROWS]
        alike = sum((field[rows] @ other).toarray() for field, other in zip(fields, turned, strict=True))
        alike = np.round(alike, 9)
        places = np.arange(len(rows))
        alike[places, rows] = -1.0
        for rank in range(NEIGHBOURS):
            best = alike.argmax(axis=1)
            found[start + places, rank] = best
            alike[places, best] = -1.0
    return found


def _mean_difference(scores: Floats) -> float:
    """The mean absolute difference of two of them, from their order."""
    count = len(scores)
    steps = 2.0 * np.arange(count) - count + 1.0
    return 2.0 * math.fsum(np.sort(scores) * steps) / (count * (count - 1))
