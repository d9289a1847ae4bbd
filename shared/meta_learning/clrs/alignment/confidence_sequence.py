"""An interval that may be looked at after every batch: the asymptotic confidence sequence of Waudby-Smith et al. (2024)."""

from __future__ import annotations

import math

from meta_learning.clrs.alignment.comparison import Tally

ALPHA = 0.05
TIGHTEST_AT = 500.0  # events at which the sequence is narrowest


def half_width(variance: float, count: float, alpha: float) -> float:
    """Half the width after ``count`` events of a mean with this variance; it holds at all looks at once.

    Theorem 2.2 of "Time-uniform central limit theory and asymptotic confidence sequences" (arXiv 2103.06476), whose
    extension to drifting means (their Lyapunov-type sequence) has the same form: it bounds the running average. At one
    look a normal interval is about half as wide; this one is not undone by looking again.

    >>> round(half_width(0.25 / 500, 500, 0.05), 3), round(1.96 * (0.25 / 500) ** 0.5, 3)
    (0.068, 0.044)
    """
    if not math.isfinite(variance) or count <= 0:
        return math.inf
    odds = -2.0 * math.log(alpha)
    rho = (odds + math.log(odds) + 1.0) / TIGHTEST_AT
    looked = math.log(math.sqrt(count * rho + 1.0) / alpha)
    return math.sqrt(2.0 * variance * (1.0 + 1.0 / (count * rho)) * looked)


def interval(tally: Tally, alpha: float) -> tuple[float, float]:
    """The concordance's bounds at error ``alpha`` over all looks, cut to [0, 1]."""
    half = half_width(tally.variance, tally.effective, alpha)
    return max(tally.value - half, 0.0), min(tally.value + half, 1.0)


def spent(epoch: int, alpha: float = ALPHA) -> float:
    """The error allowed to the ``epoch``-th window, from 1 on: ``alpha / (k (k + 1))``, which adds up to ``alpha`` for ever.

    >>> spent(1), round(sum(spent(epoch) for epoch in range(1, 10_000)), 4)
    (0.025, 0.05)
    """
    return alpha / (epoch * (epoch + 1))
