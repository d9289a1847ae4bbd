"""Randomised margin sampling: ask the more likely the less sure the model is, and never with probability nought."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meta_learning.clrs.acting.choosing import Cause, uniform_of
from meta_learning.errors import ConfigurationError

FLOOR_SHARE = (
    0.2  # of the budget: even a sure answer is asked about now and then, so no weight exceeds five times the mean
)
STEP = 0.02  # of the controller: it forgets an old level within some hundred interactions


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether to ask, and how probable it was: feedback that was asked for stands for ``1 / propensity`` interactions."""

    ask: bool
    propensity: float


@dataclass(slots=True)
class Asker:
    """Decides about one interaction at a time, so that about ``per_100`` of 100 are asked about; at 100 everything is.

    The probability is ``exp(level - sharpness * |score - 1/2|)``, at least a fifth of the budget and at most 1. The level is
    moved a little after each decision, by how far its probability lay from the budget (Robbins & Monro 1951), so the mean
    probability keeps to the budget whatever the margins are: within 2 asks per 100 over any 1,000 after the first 200.

    ``level`` is the whole state, one number. The decision follows from the cause, so the same interaction gets the same draw.

    >>> asker = Asker(per_100=20)
    >>> asked = [asker.should_ask(n % 10 / 10, Cause(0, "support", str(n)), "Hi", "Hello").ask for n in range(2000)]
    >>> 0.18 < sum(asked) / 2000 < 0.22
    True

    Raises:
        ConfigurationError: ``per_100`` is not in (0, 100].
    """

    per_100: float = 10.0
    sharpness: float = 12.0
    level: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_100) and 0.0 < self.per_100 <= 100.0):
            raise ConfigurationError("per_100 must lie in (0, 100]")
        if not (math.isfinite(self.sharpness) and 0.0 <= self.sharpness <= 100.0):
            raise ConfigurationError("sharpness must lie in [0, 100]")

    def should_ask(self, score: float, cause: Cause, input_text: str, output_text: str) -> Asked:
        """Decide about an answer whose expected feedback is ``score``."""
        budget = self.per_100 / 100.0
        if budget >= 1.0:
            return Asked(True, 1.0)
        urgency = -self.sharpness * abs(score - 0.5)
        if self.level is None:
            self.level = math.log(budget)  # nobody is asked more often than the budget before the margins are known
        propensity = min(max(math.exp(min(self.level + urgency, 0.0)), FLOOR_SHARE * budget), 1.0)
        self.level += STEP * (1.0 - propensity / budget)
        return Asked(uniform_of("ask", cause, input_text, output_text) < propensity, propensity)
