"""A second learner, begun anew when the world has turned round: after a reversal, what was learnt is outvoted, not forgotten.

On 20,000 tweets whose labels turn round half-way, the learner that goes on has .74 in the first 3,000 events after it (it turns
its experts round), and then .63, because the experts, each with ten thousand old lessons, come to contradict themselves. One that
begins anew at the alarm has .71, then .77. Starting again at an alarm is what drift detection is for (Gama et al. 2004); here both
learn on beside each other, and a false alarm costs time only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from meta_learning.clrs.drift.alarm_rule import Alarm
from meta_learning.clrs.gating import gates
from meta_learning.clrs.gating.evidence import listed, losses, unlisted
from meta_learning.clrs.models.port import Floats, Model
from meta_learning.clrs.statistics import Moments

RECENT_CYCLES = 5  # that are compared: what it said as a beginner must not count for ever
EVENTS_MIN = 30  # compared, below which their spread is not known: two equal gains would be certainty
KINDS = frozenset({"concept", "performance"})  # alarms that say that what was learnt is wrong now


@runtime_checkable
class Renewable(Model, Protocol):
    """A model that can begin anew."""

    def untrained(self) -> Self:
        """A model with the same settings that has learnt nothing."""


@dataclass(frozen=True, slots=True)
class Rivalry:
    """The beginner's gains over the learner in the last cycles, and for how many cycles it has learnt.

    >>> import numpy as np
    >>> rivalry = Rivalry()
    >>> for _ in range(3): rivalry = rivalry.after(np.full(50, 0.8), np.full(50, 0.3), np.zeros(50))
    >>> rivalry.cycles, rivalry.won(error=0.05)
    (3, True)
    """

    cycles: int = 0
    gains: tuple[Moments, ...] = ()

    def after(self, learner: Floats, beginner: Floats, true: Floats) -> Rivalry:
        """Add a cycle: what both said of it before they learnt it."""
        gains = (*self.gains, Moments.of(losses(learner, true) - losses(beginner, true)))
        return Rivalry(self.cycles + 1, gains[-RECENT_CYCLES:])

    def won(self, error: float) -> bool:
        """Whether the beginner is surely better by now."""
        known = sum(self.gains, start=Moments())
        if known.count < EVENTS_MIN:
            return False
        return gates.weight_of_evidence(known, 0.0, known.error**2 * known.count) >= -math.log(error)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {"cycles": self.cycles, "gains": [listed(part) for part in self.gains]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read `to_json` back."""
        return cls(int(data["cycles"]), tuple(unlisted(part) for part in data["gains"]))


def begun(model: Model, alarms: Iterable[Alarm]) -> Model | None:
    """A beginner, if one of ``alarms`` calls for it and ``model`` can begin anew."""
    called = any(alarm.kind in KINDS for alarm in alarms)
    if not called or not isinstance(model, Renewable):
        return None
    try:
        fresh = model.untrained()
        fresh.version()
    except Exception:  # noqa: BLE001  any model may be plugged in; without a beginner the learner goes on as it would have
        return None
    return fresh
