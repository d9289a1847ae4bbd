"""Which segment rose most? Moments of a number by segment, before and lately, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Moments

SEGMENTS_MAX = 32
RECENT_MIN = 20  # events of a segment that can be named
PARTS = 20  # of the recent numbers of a segment: one event a cycle may not make two hundred


class SegmentTally:
    """Folds numbers with their segments; `worst` names the segment whose recent mean rose most, in standard errors.

    Recent are the last ``recent_size`` numbers of a segment; the segments after the first 32
    are not told apart.

    >>> tally = SegmentTally(recent_size=20)
    >>> tally.update(np.zeros(80), ["de", "en"] * 40)
    >>> tally.update(np.tile([0.0, 1.0], 20), ["de", "en"] * 20)
    >>> tally.worst()["segment"]
    'en'
    """

    def __init__(self, recent_size: int = 200) -> None:
        self.recent_size = recent_size
        self._before: dict[str, Moments] = {}
        self._recent: dict[str, list[Moments]] = {}

    def update(self, numbers: Floats, segments: Sequence[str | None]) -> None:
        """Fold a batch; a number without a segment is left out."""
        named = np.array([name or "" for name in segments])
        for name in dict.fromkeys(segment for segment in segments if segment):
            if name not in self._recent and len(self._recent) >= SEGMENTS_MAX:
                continue
            parts, fresh = list(self._recent.get(name, [])), Moments.of(numbers[named == name])
            if parts and parts[-1].count + fresh.count <= self.recent_size / PARTS:
                fresh += parts.pop()
            parts.append(fresh)
            while len(parts) > 1 and sum(part.count for part in parts[1:]) >= self.recent_size:
                self._before[name] = self._before.get(name, Moments()) + parts[0]
                parts = parts[1:]
            self._recent[name] = parts

    def worst(self) -> dict[str, Any] | None:
        """The segment, its rise, and the rise over its standard error; None where no segment can be named."""
        found = []
        for name, parts in self._recent.items():
            now, before = sum(parts, start=Moments()), self._before.get(name, Moments())
            if min(now.count, before.count) >= RECENT_MIN:
                rise = now.mean - before.mean
                found.append((rise / max(float(np.hypot(now.error, before.error)), 1e-9), rise, name, now.count))
        if not found:
            return None
        z, rise, name, count = max(found)
        return {"segment": name, "rise": rise, "standard_errors": z, "n": count}

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "before": {name: asdict(part) for name, part in self._before.items()},
            "recent": {name: [asdict(part) for part in parts] for name, parts in self._recent.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        tally = cls(**config)
        tally._before = {name: Moments(**part) for name, part in state["before"].items()}
        tally._recent = {name: [Moments(**part) for part in parts] for name, parts in state["recent"].items()}
        return tally
