"""Whether to go on: the chance that anybody still in the race beats the best by as much as is worth having."""

from __future__ import annotations

import math
from collections.abc import Iterable

from meta_learning.acla.racing.shrinkage import Gain

CHANCE_MIN = 0.02
# What is good enough already is not worth more than that: a prompt that needs no other is not sought for so long.
CHANCE_OF_BETTER_MIN = 0.1


def chance_that_any_beats(live: Iterable[Gain], threshold: float) -> float:
    """The posterior chance that at least one of the gains over the best is above ``threshold``, taken as independent.

    >>> round(chance_that_any_beats([Gain(0.05, 0.02, 0.05, 99), Gain(0.05, 0.02, 0.05, 99)], 0.05), 2)
    0.75
    """
    return 1.0 - math.prod(1.0 - gain.chance_above(threshold) for gain in live)


def chance_of_newcomers(tried_count: int, good_count: int) -> float:
    """The chance that the next child is that good, when ``good_count`` of the last ``tried_count`` were (Jeffreys' prior).

    >>> chance_of_newcomers(0, 0), chance_of_newcomers(9, 0)
    (0.5, 0.05)
    """
    return (good_count + 0.5) / (tried_count + 1.0)
