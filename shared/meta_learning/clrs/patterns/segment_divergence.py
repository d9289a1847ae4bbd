"""Segment divergence: one segment is served worse while all others are served no worse."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from meta_learning.clrs.patterns.port import Evidence, Reading
from meta_learning.clrs.statistics import Moments

SEGMENTS_MAX = 32
RECENT_MAX = 5  # cycles
EVENTS_MIN = 50
EVENTS_MAX = 2_000  # of the past: then the oldest fade
Z_MIN = 4.75  # 1e-6 on one side: 32 segments in 50 cycles still alarm by chance in fewer than one loop of 500


class SegmentDivergence:
    """A segment's squared error of the last five cycles lies surely above its past, while that of all the others does not rise.

    Segments are what applications name in ``metadata["segment"]``; the first 32 are watched.
    """

    name = "segment_divergence"

    def __init__(self) -> None:
        self._past: dict[str, Moments] = {}
        self._recent: list[dict[str, Moments]] = []

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        if reading.predictions is None:
            return None
        names = [exchange.segment for exchange in reading.exchanges]
        if not any(names):
            return None
        losses = (reading.predictions - reading.scores) ** 2
        fresh = {}
        for name in dict.fromkeys(found for found in names if found):
            if name in self._past or len(self._past) < SEGMENTS_MAX:
                self._past.setdefault(name, Moments())
                fresh[name] = Moments.of(losses[np.array([other == name for other in names])])
        self._recent.append(fresh)
        if len(self._recent) > RECENT_MAX:
            for name, moments in self._recent.pop(0).items():
                self._past[name] = _faded(self._past[name] + moments)
        return self._worst()

    def _worst(self) -> Evidence | None:
        # In the order of names: a saved state forgets the order of appearance, on which sums and ties would depend.
        lately = {
            name: sum((cycle[name] for cycle in self._recent if name in cycle), start=Moments())
            for name in sorted(self._past)
        }
        rises = {
            name: _rise(self._past[name], lately[name])
            for name in lately
            if min(lately[name].count, self._past[name].count) >= EVENTS_MIN
        }
        if len(lately) < 2 or not rises:
            return None
        worst = max(rises, key=lambda name: rises[name])
        rest_before = sum((self._past[name] for name in lately if name != worst), start=Moments())
        rest_now = sum((lately[name] for name in lately if name != worst), start=Moments())
        if rises[worst] < Z_MIN or rest_now.count < EVENTS_MIN or rest_now.mean > rest_before.mean:
            return None
        before, now = self._past[worst].mean, lately[worst].mean
        sentence = (
            f"Segment {worst} is served worse (squared error {now:.2f}, it was {before:.2f}), "
            f"while the others are not ({rest_now.mean:.2f}, it was {rest_before.mean:.2f})."
        )
        return Evidence({"error": now, "error_before": before, "z": rises[worst]}, sentence)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "past": {name: asdict(moments) for name, moments in self._past.items()},
            "recent": [{name: asdict(moments) for name, moments in cycle.items()} for cycle in self._recent],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._past = {name: Moments(**moments) for name, moments in state["past"].items()}
        self._recent = [{name: Moments(**moments) for name, moments in cycle.items()} for cycle in state["recent"]]


def _rise(past: Moments, lately: Moments) -> float:
    error = math.hypot(past.error, lately.error)
    return (lately.mean - past.mean) / error if error > 1e-9 else 0.0


def _faded(moments: Moments) -> Moments:
    if moments.count <= EVENTS_MAX:
        return moments
    kept = EVENTS_MAX / moments.count
    return Moments(EVENTS_MAX, moments.total * kept, moments.squares * kept)
