"""Do the nearest questions get alike scores? Measured against what any two questions of the batch get."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import BLOCK_ROWS, Moments

NEIGHBOURS = 3


def neighbour_agreement(fields: Sequence[sparse.csr_matrix], scores: Floats) -> Moments | None:
    """Per event, 1 - (difference to its nearest neighbours) / (mean difference of all); None when all scores are equal.

    0 is what chance gives (the mean over all permutations of the scores), 1 is neighbours that agree exactly. ``fields``:
    weighted words of the inputs and of the outputs, each by itself, so that a one-word answer weighs as much as its question.
    """
    count = len(scores)
    nearest, differences = np.zeros((count, NEIGHBOURS), dtype=np.int64), np.zeros(count)
    for start in range(0, count, BLOCK_ROWS):  # all pairs of a cycle of 10,000 at once would take gigabytes
        rows = np.arange(start, min(start + BLOCK_ROWS, count))
        alike = sum((field[rows] @ field.T).toarray() for field in fields)
        alike[rows - start, rows] = -1.0
        nearest[rows] = np.argsort(-np.round(alike, 9), axis=1, kind="stable")[:, :NEIGHBOURS]
        differences[rows] = np.abs(scores[rows, None] - scores[None, :]).sum(axis=1)
    usual = math.fsum(differences) / (count * (count - 1))
    if usual < 1e-6:
        return None
    return Moments.of(1.0 - np.abs(scores[nearest] - scores[:, None]).mean(axis=1) / usual)
