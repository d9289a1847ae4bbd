"""What is kept for the gate, and what the gate will be able to see: known and said before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from meta_learning.acla.statistics import power

FINALISTS_COUNT_MAX = 3
# Rewrites of one prompt disagree on about this share of the items.
DISCORDANT_SHARE = 0.15
GAIN = 0.05
POWER_WANTED = 0.8


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What is kept for the gate before anything is spent."""

    items_count: int
    finalists_count: int
    incumbents_count: int = 1
    calls_each: int = 1

    @property
    def questions_count(self) -> int:
        """Answers that the gate may ask for."""
        return self.items_count * (self.incumbents_count + self.finalists_count)

    @property
    def calls_count(self) -> int:
        """Calls that the gate may take: more than questions where answers are judged."""
        return self.questions_count * self.calls_each

    def report(self, alpha: float, flip_rate: float = 0.0) -> dict[str, Any]:
        """The plan with its power, as plain JSON; ``warning`` is empty where a gain of five points is likely to be seen.

        ``flip_rate``: the share of answers that are others when asked again; two prompts differ by so much more.
        """
        discordant = DISCORDANT_SHARE + flip_rate * (1.0 - DISCORDANT_SHARE)
        chance = power(self.items_count, GAIN, discordant, alpha / max(1, self.finalists_count))
        smallest = detectable_gain(self.items_count, discordant, alpha / max(1, self.finalists_count))
        short = f"a true gain of 5 points would be seen in {100 * chance:.0f} % of runs only"
        return {
            "gate_items": self.items_count,
            "finalists": self.finalists_count,
            "calls_kept": self.calls_count,
            "power_for_5_points": round(chance, 4),
            "detectable_gain": round(smallest, 4),
            "warning": short if chance < POWER_WANTED else "",
        }


def plan_gate(
    available_count: int, calls_max: int | None, finalists_min: int = 1, incumbents_count: int = 1, calls_each: int = 1
) -> GatePlan:
    """At most a third of the calls: rather all items for fewer finalists, then fewer items for ``finalists_min`` of them.

    Prompts in use that vote together are ``incumbents_count`` questions for every item, each of ``calls_each`` calls.

    >>> plan_gate(100, None).finalists_count, plan_gate(100, 300).items_count, plan_gate(100, 300, calls_each=2).items_count
    (3, 50, 25)
    """
    if calls_max is None:
        return GatePlan(available_count, max(FINALISTS_COUNT_MAX, finalists_min), incumbents_count, calls_each)
    for finalists_count in range(max(FINALISTS_COUNT_MAX, finalists_min), finalists_min - 1, -1):
        plan = GatePlan(available_count, finalists_count, incumbents_count, calls_each)
        if plan.calls_count <= calls_max // 3:
            return plan
    items_count = min(available_count, calls_max // 3 // calls_each // (incumbents_count + finalists_min))
    return GatePlan(items_count, finalists_min, incumbents_count, calls_each)


def detectable_gain(count: int, discordant: float, alpha: float) -> float:
    """The smallest true gain that the gate sees in four of five runs (normal approximation); 1 with no items.

    >>> round(detectable_gain(368, 0.15, 0.05), 2)
    0.05
    """
    if count == 0:
        return 1.0
    normal = NormalDist()
    return min(1.0, (normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER_WANTED)) * math.sqrt(discordant / count))
