"""An alarm with a proved run length, for losses whose level without drift is known."""

from __future__ import annotations

import math
from typing import Any, Self

BETS = (0.25, 0.5, 1.0, 2.0)


class EDetector:
    """Shiryaev-Roberts e-detector on losses in [0, 1] (arXiv 2309.09111): alarms when their mean exceeds ``level``.

    While the conditional mean stays at or below ``level``, the mean time to a false alarm is at least ``run_length``.

    >>> detector = EDetector(level=0.2, run_length=1000.0)
    >>> [detector.update(1.0) for _ in range(9)].index(True)
    8
    """

    def __init__(
        self, level: float, run_length: float = 50_000.0, evidence: tuple[float, ...] = (0.0,) * len(BETS)
    ) -> None:
        self.level, self.run_length = level, run_length
        self._evidence = list(evidence)

    def update(self, loss: float) -> bool:
        """Fold one loss; True when the evidence reaches the run length (and starts again)."""
        excess = loss - self.level
        # A bet above 1 / level could make the wealth negative.
        bets = [min(bet, 0.9 / max(self.level, 1e-9)) for bet in BETS]
        self._evidence = [(held + 1.0) * (1.0 + bet * excess) for held, bet in zip(self._evidence, bets, strict=True)]
        if math.fsum(self._evidence) / len(BETS) < self.run_length:
            return False
        self._evidence = [0.0] * len(BETS)
        return True

    @property
    def evidence(self) -> float:
        """How far towards an alarm, on the scale of its logarithm, in [0, 1]. Not a drift score: it wanders with no drift too."""
        mean = math.fsum(self._evidence) / len(BETS)
        return min(max(math.log(max(mean, 1.0)) / math.log(self.run_length), 0.0), 1.0)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"level": self.level, "run_length": self.run_length, "evidence": list(self._evidence)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Read `state` back."""
        return cls(state["level"], state["run_length"], tuple(state["evidence"]))
