"""What is known about one candidate against one champion: sums over paired events, bounded whatever comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Moments

SEGMENTS_MAX = 20  # segments kept apart; an event of one more counts among all, not by itself


def losses(predicted: Floats, true: Floats) -> Floats:
    """Squared errors; their mean is the Brier score (Brier 1950)."""
    return (predicted - true) ** 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Moments of the gains (the champion's loss minus the candidate's), also by segment, and the flips of both kinds.

    >>> one = Evidence.of(np.array([0.2]), np.array([0.7]), np.array([1.0]), {"short": np.array([0])})
    >>> both = one + one
    >>> both.gains.count, both.positive_flips, both.segments["short"].count
    (2, 2, 2)
    """

    gains: Moments = field(default_factory=Moments)
    champion_total: float = 0.0
    negative_flips: int = 0
    positive_flips: int = 0
    segments: Mapping[str, Moments] = field(default_factory=dict)

    @classmethod
    def of(cls, champion: Floats, candidate: Floats, true: Floats, segments: Mapping[str, Any]) -> Self:
        """The evidence of one cycle; ``segments``: the positions of each."""
        lost = losses(champion, true)
        gains = lost - losses(candidate, true)
        liked = true >= 0.5
        before, after = (champion >= 0.5) == liked, (candidate >= 0.5) == liked
        parts = {name: Moments.of(gains[np.asarray(where, dtype=np.int64)]) for name, where in segments.items()}
        return cls(
            Moments.of(gains), Moments.of(lost).total, int((before & ~after).sum()), int((~before & after).sum()), parts
        )

    def __add__(self, other: Evidence) -> Evidence:
        segments = dict(self.segments)
        for name, part in sorted(other.segments.items()):
            if name in segments or len(segments) < SEGMENTS_MAX:
                segments[name] = segments.get(name, Moments()) + part
        return Evidence(
            self.gains + other.gains,
            self.champion_total + other.champion_total,
            self.negative_flips + other.negative_flips,
            self.positive_flips + other.positive_flips,
            dict(sorted(segments.items())),
        )

    @property
    def champion_loss(self) -> float:
        """The champion's Brier score on these events."""
        return self.champion_total / self.gains.count if self.gains.count else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "gains": listed(self.gains),
            "champion_total": self.champion_total,
            "flips": [self.negative_flips, self.positive_flips],
            "segments": {name: listed(part) for name, part in self.segments.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read `to_json` back."""
        negative, positive = data["flips"]
        segments = {str(name): unlisted(part) for name, part in data["segments"].items()}
        return cls(unlisted(data["gains"]), float(data["champion_total"]), int(negative), int(positive), segments)


def listed(moments: Moments) -> list[float]:
    """Moments as JSON."""
    return [moments.count, moments.total, moments.squares]


def unlisted(data: Any) -> Moments:
    """Read `listed` back."""
    count, total, squares = data
    return Moments(int(count), float(total), float(squares))
