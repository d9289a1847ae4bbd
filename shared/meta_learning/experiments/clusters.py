"""Intervals where items come in groups: whole groups are resampled, since what one user said is not news item by item.

>>> marks = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 20
>>> users = [str(number // 3) for number in range(120)]  # three tweets each, all right or all wrong
>>> mean(marks).rounded["low"], clustered_mean(marks, users).rounded["low"]
(0.412, 0.35)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from meta_learning.experiments.intervals import BATCH_COUNT_MAX, LEVEL, RESAMPLES_COUNT, Estimate, Floats, mean

Places = NDArray[np.int64]
OfTotals = Callable[[Floats], Floats]


def places_of(groups: Sequence[str | None]) -> Places | None:
    """The number of each item's group; None where no two items share one, so that nothing differs from items alone.

    >>> places_of(["b", None, "b", None]).tolist(), places_of(["a", None, None]) is None
    ([0, 1, 0, 2], True)
    """
    numbers = dict[object, int]()
    places = [
        numbers.setdefault((position,) if name is None else name, len(numbers)) for position, name in enumerate(groups)
    ]
    return np.array(places, dtype=np.int64) if len(numbers) < len(places) else None


def group_sums(rows: Floats, places: Places) -> Floats:
    """Sums of ``rows`` (items first) over the items of each group."""
    sums = np.zeros((int(places.max()) + 1, *rows.shape[1:]))
    np.add.at(sums, places, rows)
    return sums


def clustered_mean(values: Sequence[float], groups: Sequence[str | None], seed: int = 0) -> Estimate:
    """`intervals.mean`, made wider where items share a group."""
    rows = np.array([(value, 1.0) for value in values]).reshape(-1, 2)
    return clustered([mean(values, seed)], rows, groups, lambda totals: totals[:, :1] / totals[:, 1:], seed)[0]


def clustered(
    plain: Sequence[Estimate], rows: Floats, groups: Sequence[str | None], statistic: OfTotals, seed: int
) -> list[Estimate]:
    """``plain`` estimates of what ``statistic`` makes of the totals of ``rows``, made wider where items share a group.

    Never narrower: groups that are more alike than chance would be are no reason to be surer. Without ends where all items are
    of one group, which says nothing about others.
    """
    places = places_of(groups)
    if places is None:
        return list(plain)
    lows, highs = cluster_bounds(rows, places, statistic, seed)
    return [_wider(one, float(low), float(high)) for one, low, high in zip(plain, lows, highs, strict=True)]


def cluster_bounds(rows: Floats, places: Places, statistic: OfTotals, seed: int) -> tuple[Floats, Floats]:
    """The lower and upper ends of the 95 % intervals of numbers that follow from totals over items.

    ``rows`` is items × k, and ``statistic`` makes of totals (samples × k) the numbers (samples × m). Groups are drawn with
    replacement (Field and Welsh, 2007), and the quantiles are those of Hesterberg's expanded percentile interval (2015): plain
    ones are too narrow for few groups. Both ends are nan for a single group, which says nothing about others.
    """
    sums = group_sums(rows, places)
    count = len(sums)
    if count < 2:
        nothing = np.full(statistic(rows.sum(axis=0)[None]).shape[1], np.nan)
        return nothing, nothing
    rng, batch = np.random.default_rng(seed), max(1, BATCH_COUNT_MAX // count)
    drawn = [
        statistic(rng.multinomial(count, np.full(count, 1 / count), size=min(batch, RESAMPLES_COUNT - start)) @ sums)
        for start in range(0, RESAMPLES_COUNT, batch)
    ]
    tail = expanded_tail(count)
    low, high = np.quantile(np.concatenate(drawn), (tail, 1 - tail), axis=0)
    return low, high


def expanded_tail(count: int) -> float:
    """The share that a percentile interval over ``count`` draws cuts off at each end, to hold what a t interval would.

    >>> round(expanded_tail(6), 4), round(expanded_tail(10_000), 4)
    (0.0024, 0.025)
    """
    wide = math.sqrt(count / (count - 1)) * float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
    return float(stats.norm.cdf(-wide))


def _wider(one: Estimate, low: float, high: float) -> Estimate:
    if one.low is None or one.high is None:
        return one
    if math.isnan(low) or math.isnan(high):
        return replace(one, low=None, high=None)
    return replace(one, low=min(one.low, low), high=max(one.high, high))
