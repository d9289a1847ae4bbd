"""How much a model wavers: the same questions again at temperature 0, before anything is concluded from single answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.acla.planning import GatePlan
from meta_learning.acla.statistics import wilson

# At most this share of the calls goes into knowing it.
CALLS_SHARE = 1 / 50
ITEMS_COUNT_MIN = 4


@dataclass(frozen=True, slots=True)
class Wavering:
    """Of ``items_count`` questions that were asked twice, ``flips_count`` got another answer.

    The interval of a gain needs nothing added for it: each pair was asked once, so that what wavers is in the spread of the pairs.
    What it costs is power, and `report` says how much.
    """

    items_count: int
    flips_count: int

    @property
    def rate(self) -> float:
        """The share of answers that were others.

        >>> Wavering(20, 2).rate
        0.1
        """
        return self.flips_count / max(1, self.items_count)

    def report(self, plan: GatePlan, alpha: float) -> dict[str, Any]:
        """Plain JSON, with what the gate can still see."""
        low, high = wilson(self.flips_count, self.items_count)
        seen = plan.report(alpha, self.rate)
        return {
            "items": self.items_count,
            "flips": self.flips_count,
            "rate": round(self.rate, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "power_for_5_points": seen["power_for_5_points"],
            "detectable_gain": seen["detectable_gain"],
        }


def repeats_count(wanted: int, available: int, calls_max: int | None, calls_each: int = 1) -> int:
    """How many questions to ask again: as many as are wanted and the budget stands; too few would tell nothing.

    >>> repeats_count(20, 48, None), repeats_count(20, 48, 300), repeats_count(20, 48, 100)
    (20, 6, 0)
    """
    count = min(wanted, available, wanted if calls_max is None else int(calls_max * CALLS_SHARE) // calls_each)
    return count if count >= ITEMS_COUNT_MIN else 0


def wavering(first: Sequence[str | None], again: Sequence[str | None]) -> Wavering:
    """What the answers say, in pairs; one that is missing (not: one that says nothing of use) is left out beforehand.

    >>> wavering(["yes", "no", None], ["yes", "yes", None])
    Wavering(items_count=3, flips_count=1)
    """
    pairs = list(zip(first, again, strict=True))
    return Wavering(len(pairs), sum(one != other for one, other in pairs))
