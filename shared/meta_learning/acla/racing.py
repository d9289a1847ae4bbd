"""Racing on rungs of shared items: permissive, because the strict decision comes later and on fresh items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

RUNGS = (8, 16, 48, 144, 432)
# Most rewrites change little: a gain of more than ten points is rare before the evidence says so.
PRIOR_SD = 0.05


def rungs_up_to(count: int) -> list[int]:
    """How many items a candidate has been asked after each rung.

    >>> rungs_up_to(100)
    [8, 16, 48, 100]
    """
    return [*(rung for rung in RUNGS if rung < count), count]


@dataclass(frozen=True, slots=True)
class Gain:
    """A paired difference, shrunken towards none."""

    mean: float
    sd: float
    raw: float
    count: int


def shrunken_gain(differences: Sequence[float], prior_sd: float = PRIOR_SD) -> Gain:
    """The posterior of a mean difference under a normal prior at 0, so that a few lucky items cannot crown anyone.

    >>> round(shrunken_gain([1.0, 1.0, 0.0, 0.0]).mean, 3), round(shrunken_gain([1.0, 1.0, 0.0, 0.0] * 25).mean, 3)
    (0.012, 0.246)
    """
    count = len(differences)
    if count == 0:
        return Gain(0.0, prior_sd, 0.0, 0)
    raw = fmean(differences)
    # One imagined discordant pair keeps the variance of a few equal differences from being zero.
    square = (sum((one - raw) ** 2 for one in differences) + 1.0) / (count + 1.0)
    weight = prior_sd**2 / (prior_sd**2 + square / count)
    return Gain(weight * raw, math.sqrt(weight * square / count), raw, count)


def goes_on(against_seed: Gain, against_best: Gain, rung: int) -> bool:
    """Whether a candidate deserves the next rung: not behind the best at the first, then ahead of the seed and near the best."""
    if rung <= RUNGS[0]:
        return against_best.raw >= 0.0 or against_seed.raw > 0.0
    return against_seed.mean > 0.0 and against_best.mean > -against_best.sd
