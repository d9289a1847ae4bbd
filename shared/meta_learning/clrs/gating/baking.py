"""Baking: after a promotion, the version that was replaced is asked on, and takes over again when it is surely better.

An e-process (Shafer 2021; Waudby-Smith & Ramdas 2024): a bettor who wagers on "the champion loses more than its shadow" and
whose capital is worth 1 can, if that is false, ever reach 1/error with probability ``error`` at most, however often one looks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from meta_learning.clrs.gating.evidence import losses
from meta_learning.clrs.models.port import Floats

STAKES = (0.05, 0.15, 0.4, 0.8)  # shares of what may be staked; the capital is split evenly over them
STARTS = (
    10  # a tenth of the capital begins to bet in each of the first ten cycles: a champion may turn after a good start
)
NOTHING = -math.inf


@dataclass(frozen=True, slots=True)
class Baking:
    """How long a champion has been baking against its shadow, and the logarithm of the capital that each bettor has at stake.

    >>> worse = Baking().observe(np.full(60, 0.2), np.full(60, 0.9), np.ones(60))
    >>> worse.cycles, worse.evidence > 100
    (1, True)
    """

    cycles: int = 0
    capital: tuple[float, ...] = (NOTHING,) * len(STAKES)

    def observe(self, champion: Floats, shadow: Floats, true: Floats) -> Baking:
        """Fold one cycle: both models' predictions from before they learnt it, and what users said."""
        excess = losses(champion, true) - losses(shadow, true)
        # How much a single event can differ at most is known before its score is: the stakes are shares of that.
        reach = np.abs(champion - shadow) * np.maximum(champion + shadow, 2.0 - champion - shadow)
        largest = float(reach.max()) if len(reach) else 0.0
        begun = self.capital
        if self.cycles < STARTS:
            begun = tuple(float(np.logaddexp(have, -math.log(STARTS))) for have in self.capital)
        if largest <= 0.0:
            return Baking(self.cycles + 1, begun)
        grown = (math.fsum(np.log1p(stake * excess / largest)) for stake in STAKES)
        return Baking(self.cycles + 1, tuple(have + more for have, more in zip(begun, grown, strict=True)))

    @property
    def evidence(self) -> float:
        """The capital, staked and not yet staked: 1 at the start."""
        staked = math.fsum(math.exp(min(have, 700.0)) for have in self.capital) / len(self.capital)
        return staked + max(STARTS - self.cycles, 0) / STARTS

    def surely_worse(self, error: float) -> bool:
        """Whether the champion has lost against its shadow; wrongly so in a share of ``error`` of all bakings at most."""
        return self.evidence >= 1.0 / error

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {"cycles": self.cycles, "capital": [have if math.isfinite(have) else None for have in self.capital]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read `to_json` back."""
        return cls(int(data["cycles"]), tuple(NOTHING if have is None else float(have) for have in data["capital"]))
