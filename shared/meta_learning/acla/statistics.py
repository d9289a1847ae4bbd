"""The statistics that decide: exact, paired, and small enough to read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RESAMPLES_COUNT = 4000
BATCH_COUNT_MAX = 400_000


def mcnemar_one_sided(wins: int, losses: int) -> float:
    """Exact chance of at least ``wins`` among the discordant pairs if neither is better (McNemar, 1947).

    >>> mcnemar_one_sided(5, 0)
    0.03125
    >>> mcnemar_one_sided(0, 0)
    1.0
    """
    count = wins + losses
    return float(sum(math.comb(count, k) for k in range(wins, count + 1)) / 2**count)


def sign_flip_one_sided(differences: Sequence[float], seed: int, groups: Sequence[str] = ()) -> float:
    """Chance of a mean difference this large if signs were chance: McNemar's exact test for 0/1 scores, resampled for others.

    Where items share ``groups`` (a user, a thread) the signs of whole groups are flipped; p is never smaller for it.

    >>> sign_flip_one_sided([1.0] * 8, 0), sign_flip_one_sided([1.0] * 8, 0, groups=["ann"] * 4 + ["bob"] * 4)
    (0.00390625, 0.24393901524618844)
    """
    if len(set(groups)) < len(groups):
        return max(sign_flip_one_sided(differences, seed), sign_flip_one_sided(group_sums(differences, groups), seed))
    if all(one in (-1.0, 0.0, 1.0) for one in differences):
        return mcnemar_one_sided(differences.count(1.0), differences.count(-1.0))
    values, rng = np.asarray(differences), np.random.default_rng(seed)
    flipped = (rng.choice((-1.0, 1.0), size=size) @ values for size in _batches(values.size))
    as_large = sum(int(np.sum(sums >= values.sum() - 1e-12)) for sums in flipped)
    # Plus one: the sample itself is one of the possible ones, so p is never 0.
    return (as_large + 1) / (RESAMPLES_COUNT + 1)


def paired_bootstrap(
    differences: Sequence[float], level: float, seed: int, groups: Sequence[str] = ()
) -> tuple[float, float]:
    """Percentile interval of the mean of paired differences (Efron, 1979).

    Where items share ``groups``, whole groups are resampled; the interval is never narrower for it.
    """
    if not differences:
        return -1.0, 1.0
    low, high = _resampled(np.asarray(differences), np.ones(len(differences)), level, seed)
    if len(set(groups)) == len(groups):
        return low, high
    sizes = group_sums([1.0] * len(differences), groups)
    wide = _resampled(np.asarray(group_sums(differences, groups)), np.asarray(sizes), level, seed)
    return min(low, wide[0]), max(high, wide[1])


def group_sums(values: Sequence[float], groups: Sequence[str]) -> list[float]:
    """The sum of each group's values, groups in the order of their first.

    >>> group_sums([1.0, -1.0, 1.0], ["ann", "bob", "ann"])
    [2.0, -1.0]
    """
    sums = dict.fromkeys(groups, 0.0)
    for value, group in zip(values, groups, strict=True):
        sums[group] += value
    return list(sums.values())


def _resampled(sums: Floats, sizes: Floats, level: float, seed: int) -> tuple[float, float]:
    rng, means = np.random.default_rng(seed), []
    for size in _batches(sums.size):
        drawn = rng.integers(0, sums.size, size=size)
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _batches(count: int) -> Iterator[tuple[int, int]]:
    """Shapes that add up to all resamples: at once they would take gigabytes for a large gate."""
    rows = max(1, BATCH_COUNT_MAX // count)
    for start in range(0, RESAMPLES_COUNT, rows):
        yield min(rows, RESAMPLES_COUNT - start), count


def wilson(total: float, count: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion (Wilson, 1927); ``total`` may be a sum of scores in [0, 1], for which it is conservative.

    >>> low, high = wilson(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    if count == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, square = total / count, z * z / count
    centre = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def holm(p_values: Sequence[float], shares: Sequence[float] | None = None) -> list[float]:
    """Adjusted p-values that keep the chance of any false alarm (Holm, 1979).

    ``shares``: the part of the level that each may use at first, in all at most 1 (Holm's weights); what does not add
    up to 1 belongs to hypotheses that are not tested.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    >>> holm([0.03, 0.02], [0.75, 0.25])
    [0.04, 0.04]
    """
    parts, left = ([1.0] * len(p_values), float(len(p_values))) if shares is None else (list(shares), 1.0)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index] / parts[index])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for index in order:
        largest = max(largest, min(1.0, p_values[index] * left / parts[index]))
        adjusted[index] = largest
        left -= parts[index]
    return adjusted


def said_p(p_value: float) -> str:
    """A p-value as it is printed: three places, and never 0, which no test of chance finds.

    >>> said_p(0.0372), said_p(1.3e-5)
    ('p = 0.037', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def power(count: int, gain: float, discordant: float, alpha: float) -> float:
    """Chance that the gate sees a true ``gain`` on ``count`` pairs of which a share ``discordant`` differ (normal approximation).

    >>> round(power(368, 0.05, 0.15, 0.05), 1)
    0.8
    """
    if count == 0:
        return 0.0
    discordant = max(discordant, gain)
    normal = NormalDist()
    shift = gain * math.sqrt(count) - normal.inv_cdf(1 - alpha) * math.sqrt(discordant)
    return normal.cdf(shift / math.sqrt(max(discordant - gain * gain, 1e-9)))
