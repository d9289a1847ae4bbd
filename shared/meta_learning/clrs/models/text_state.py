"""The learnt state of the text model: 8 bytes a bucket, and a few small arrays."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from meta_learning.clrs.models.bags import BLOCKS_COUNT, FACTS_COUNT, BagSettings, Singles
from meta_learning.clrs.models.port import Floats

Table: TypeAlias = np.ndarray[Any, np.dtype[np.uint16]]

# Columns of the table. One row of four 16-bit numbers is one read from memory; 32-bit columns would double the model.
WEIGHT, SQUARES, LIKED, DISLIKED = range(4)
WEIGHT_UNIT = 1 / 4096  # a weight is a signed multiple of it, within ±8
SQUARES_BASE = (127 - 24) << 11  # squares are floats with 5 bits of exponent and 11 of mantissa, from 2**-24 to 2**8
SQUARES_SHIFT, SQUARES_HALF = 12, 1 << 11
COUNT_UNIT = 1 / 64  # a count is a multiple of it: half a like is 32
COUNT_MAX = 65535 - 64 * 16  # above it both counts of a bucket are halved, which keeps their ratio
SHARE_MAX = 16.0  # one event counts at most so much

CROSSED = 2  # the first so many blocks are joined with a short answer

# What the experts say, in the order of the stack's weights.
ADAPTIVE, BAYES, DENSE, PRIOR = 0, 1, 1 + BLOCKS_COUNT, 2 + BLOCKS_COUNT
EXPERTS_COUNT = 3 + BLOCKS_COUNT
DENSE_COUNT = FACTS_COUNT + 3 * BLOCKS_COUNT
# Naive Bayes counts the same evidence many times (every word is also its characters), so its log odds are far too large.
BAYES_SCALES = np.array([[0.2, 0.05, 0.2, 0.05], [0.15, 0.05, 0.1, 0.2]])
STACK_START = np.array([[0.5, 0.2, 0.1, 0.1, 0.05, 0.5, 0.25], [0.35, 0.15, 0.15, 0.0, 0.0, 0.1, 0.15]])


class State(NamedTuple):
    """Everything that was learnt; the arrays are changed in place."""

    table: Table  # (2 ** bits, 4)
    dense: Floats  # (DENSE_COUNT,) weights of the facts
    spread: Singles  # (DENSE_COUNT, DENSE_COUNT) their covariance
    stack: Floats  # (2, EXPERTS_COUNT) weights of the experts by mode
    energy: Floats  # (2, EXPERTS_COUNT) their squared gradients
    totals: Floats  # liked, disliked, events; then slope and shift of the calibration, and events that fitted it

    def copied(self) -> State:
        """Arrays of its own."""
        return State(
            self.table.copy(),
            self.dense.copy(),
            self.spread.copy(),
            self.stack.copy(),
            self.energy.copy(),
            self.totals.copy(),
        )


class Rates(NamedTuple):
    """The numbers that both ways of learning read.

    ``doubt``: variances of its log odds by which one short answer's are shrunk to the general ones; 0: all have the general ones.
    ``logs``: log(count + smoothing) by stored count, by mode.
    """

    adaptive: float
    stack: float
    calibration: float
    doubt: float
    scales: Floats
    logs: Singles  # (2, 65536)


def empty_state(settings: BagSettings, spread: float) -> State:
    """Before anything is learnt. ``spread``: the prior variance of the weights of the facts."""
    return State(
        np.zeros((1 << settings.bits, 4), dtype=np.uint16),
        np.zeros(DENSE_COUNT),
        np.eye(DENSE_COUNT, dtype=np.float32) * np.float32(spread),
        STACK_START.copy(),
        np.zeros((2, EXPERTS_COUNT)),
        np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
    )


@cache
def log_counts(smoothing_long: float, smoothing_short: float) -> Singles:
    """The logarithms of all counts there can be, so that no path computes one; rounded, so that all machines agree."""
    counts = np.arange(1 << 16) * COUNT_UNIT
    return np.array([np.log(counts + smoothing) for smoothing in (smoothing_long, smoothing_short)]).astype(np.float32)
