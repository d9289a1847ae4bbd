"""Paired differences, shrunken towards none, so that a few lucky items cannot crown anyone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean

# Most rewrites change little: a gain of more than ten points is rare before the evidence says so.
PRIOR_SD = 0.05
# Graded scores of one item seldom lie closer than this apart, squared, when prompts differ at all.
IMAGINED_SQUARE_MIN = 0.05
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Gain:
    """The posterior of a paired difference (``mean``, ``sd``), what was observed (``raw`` on ``count`` items), and what was
    ``expected`` before, beside none."""

    mean: float
    sd: float
    raw: float
    count: int
    expected: float = 0.0

    def chance_above(self, threshold: float) -> float:
        """The posterior chance that the true difference is above ``threshold``.

        >>> Gain(0.02, 0.02, 0.04, 50).chance_above(0.02)
        0.5
        """
        return 1.0 - _NORMAL.cdf((threshold - self.mean) / self.sd)

    def around(self, usual: float, prior_sd: float = PRIOR_SD) -> Gain:
        """The same evidence where such differences are ``usual`` on average, instead of none.

        >>> shrunken_gain([1.0, 0.0, 0.0, 0.0] * 4).around(-0.05).mean < 0.0
        True
        """
        # The weight of the evidence: what is left of the prior's variance tells it.
        mean = self.mean + usual * min(1.0, self.sd**2 / prior_sd**2)
        return replace(self, mean=mean, expected=self.expected + usual)

    @property
    def noise(self) -> float:
        """The variance of ``raw`` around the truth, as prior and posterior tell it; infinite where nothing was observed."""
        informed = 1.0 / self.sd**2 - 1.0 / PRIOR_SD**2
        return 1.0 / informed if informed > 1e-9 else math.inf

    def plus(self, further: Gain) -> Gain:
        """What is believed of the sum of two gains: over somebody, and of that somebody over another. On ``count`` items is the first.

        >>> Gain(0.03, 0.03, 0.05, 16).plus(Gain(0.02, 0.04, 0.02, 200)).mean
        0.05
        """
        return Gain(self.mean + further.mean, math.hypot(self.sd, further.sd), self.raw + further.raw, self.count)

    def after(self, differences: Sequence[float]) -> Gain:
        """What is believed once further ``differences`` are seen, on items that this did not see.

        >>> seen = Gain(0.02, 0.02, 0.04, 50).after([1.0, -1.0] * 25)
        >>> round(seen.mean, 3), round(seen.raw, 3), seen.count
        (0.02, 0.02, 100)
        """
        if not differences:
            return self
        fresh, variance = fmean(differences), _pooled_square([(1.0, differences)]) / len(differences)
        weight = self.sd**2 / (self.sd**2 + variance)
        count = self.count + len(differences)
        raw = (self.count * self.raw + sum(differences)) / count
        return Gain(self.mean + weight * (fresh - self.mean), math.sqrt(weight * variance), raw, count)


def usual_of(others: Sequence[Gain]) -> float:
    """What gains of one kind are on average beside what was expected of each, as far as some are known: 0 with none (a normal prior on
    the mean, on each around it).

    >>> usual_of([]), round(usual_of([shrunken_gain([0.1] * 50)] * 6), 2)
    (0.0, 0.09)
    """
    weights = [1.0 / (PRIOR_SD**2 + one.noise) for one in others]
    return sum(weight * (one.raw - one.expected) for weight, one in zip(weights, others, strict=True)) / (
        PRIOR_SD**-2 + sum(weights)
    )


NOTHING_KNOWN = Gain(0.0, PRIOR_SD, 0.0, 0)


def shrunken_gain(differences: Sequence[float], prior_sd: float = PRIOR_SD) -> Gain:
    """The posterior of a mean difference under a normal prior at 0.

    >>> round(shrunken_gain([1.0, 1.0, 0.0, 0.0]).mean, 3), round(shrunken_gain([1.0, 1.0, 0.0, 0.0] * 25).mean, 3)
    (0.013, 0.249)
    """
    return stratified_gain([(1.0, differences)], prior_sd)


def stratified_gain(strata: Sequence[tuple[float, Sequence[float]]], prior_sd: float = PRIOR_SD) -> Gain:
    """The same out of strata, each with its share of all items: every item counts for those it was drawn to stand for.

    Equal shares and equal draws give the plain mean:

    >>> stratified_gain([(0.5, [1.0, 0.0]), (0.5, [0.0, 0.0])]).raw
    0.25
    """
    asked = [(share, differences) for share, differences in strata if differences]
    total = sum(share for share, _ in asked)
    if not asked:
        return Gain(0.0, prior_sd, 0.0, 0)
    raw = sum(share * fmean(differences) for share, differences in asked) / total
    pooled = _pooled_square(asked)
    variance = sum((share / total) ** 2 * _square(one, pooled) / len(one) for share, one in asked)
    weight = prior_sd**2 / (prior_sd**2 + variance)
    return Gain(weight * raw, math.sqrt(weight * variance), raw, sum(len(one) for _, one in asked))


def _pooled_square(asked: Sequence[tuple[float, Sequence[float]]]) -> float:
    """The variance within strata; one imagined pair as far apart as any seen keeps that of a few equal ones from being zero."""
    total, count, farthest = 0.0, 0, math.sqrt(IMAGINED_SQUARE_MIN)
    for _, differences in asked:
        mean = fmean(differences)
        total += sum((one - mean) ** 2 for one in differences)
        count += len(differences)
        farthest = max(farthest, *map(abs, differences))
    return (total + farthest**2) / (count + 1.0)


def _square(differences: Sequence[float], pooled: float) -> float:
    """A stratum's own variance, as far as it has items; it borrows the others' like three items."""
    mean = fmean(differences)
    own = sum((one - mean) ** 2 for one in differences)
    return (own + 3.0 * pooled) / (len(differences) + 2.0) if len(differences) > 1 else pooled
