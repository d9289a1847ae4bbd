"""How every score is reported: a number in [0, 1] with its interval and its n, or None while it means nothing yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """``current`` lies between ``low`` and ``high``; all three are None while there is too little to say. ``n``: events behind it.

    >>> Estimate.collecting(12).as_dict()
    {'current': None, 'n': 12, 'low': None, 'high': None}
    """

    current: float | None
    n: int
    low: float | None
    high: float | None

    @classmethod
    def collecting(cls, n: int = 0) -> Estimate:
        """No score yet."""
        return cls(None, n, None, None)

    @classmethod
    def of(cls, current: float, n: int, low: float, high: float) -> Estimate:
        """A score and its interval, all cut to [0, 1]."""
        return cls(*(_unit(current), n, _unit(low), _unit(high)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _unit(number: float) -> float:
    return min(max(float(number), 0.0), 1.0)
