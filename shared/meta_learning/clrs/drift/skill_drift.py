"""Drift of the skill: concept (an alarm with a stated run length) and performance (skill surely lost)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.drift.change_detector import ChangeDetector
from meta_learning.clrs.drift.segment_tally import SegmentTally
from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Moments

SKILL_SURE = 3.0  # standard errors by which the baseline must beat the constant predictor for its skill to be a measure
LOSS_SURE = 2.33  # one-sided 99 %


class SkillDrift:
    """Watches the champion's squared errors on events that it had not seen; skill is what they gain on the constant's.

    ``concept`` is 0 until a `ChangeDetector` alarms, and then the share of skill lost on the events since, until
    ``baseline_size`` of them are the new baseline. ``performance`` is the lower 99 % bound of the share lost in the last
    ``window_size`` events. Both are None until a warm-up and ``baseline_size`` losses after it, and a share of skill is None
    where the baseline does not surely have any.

    Nulls: for concept, independent losses with a constant mean; for performance, no skill lost. Sources: Page (1954) and
    Siegmund & Venkatraman (1995) for the likelihood ratio over change points.

    A promotion does not restart the baseline: the gates promise that the new champion is no worse, and nearly every cycle
    promotes, so that a baseline of one champion's own would never fill. A surely better one restarts it (`ChangeDetector`).
    """

    def __init__(
        self, baseline_size: int = 1000, window_size: int = 500, warmup_size: int = 500, run_length: float = 50_000.0
    ) -> None:
        self.baseline_size, self.window_size, self.warmup_size = baseline_size, window_size, warmup_size
        self.seen = 0
        self.alarms = 0
        self.segments = SegmentTally()
        self._detector = ChangeDetector(baseline_size, run_length)
        self._baseline: tuple[Moments, Moments] | None = None  # losses and gains
        self._next = (Moments(), Moments())  # of the baseline that is being collected
        self._alarmed = False  # the next baseline is a new normal after an alarm
        self._window: list[Moments] = []

    def update(
        self, predictions: Floats, constant: float, true: Floats, segments: Sequence[str | None] | None = None
    ) -> bool:
        """Fold a batch of predictions that were made before their events were learnt; True when it raised an alarm."""
        losses = (predictions - true) ** 2
        self.seen += len(true)
        if self.seen <= self.warmup_size:
            return False
        gains = (constant - true) ** 2 - losses
        self._window = [*self._window, Moments.of(losses)]
        while len(self._window) > 1 and sum(part.count for part in self._window[1:]) >= self.window_size:
            self._window = self._window[1:]
        if segments is not None:
            self.segments.update(losses, segments)
        alarmed = sum(map(self._detector.update, losses.tolist())) > 0  # all of them, also those after an alarm
        if alarmed:
            self.alarms, self._alarmed = self.alarms + 1, True
            self._next = (Moments(), Moments())
        self._collect(losses, gains)
        return alarmed

    def _collect(self, losses: Floats, gains: Floats) -> None:
        if self._baseline is not None and not self._alarmed:
            return
        self._next = (self._next[0] + Moments.of(losses), self._next[1] + Moments.of(gains))
        if self._next[0].count >= self.baseline_size:
            self._baseline, self._next, self._alarmed = self._next, (Moments(), Moments()), False

    @property
    def changed_at(self) -> int | None:
        """The event of this detector, counted from 0, with which the rise behind the last alarm began."""
        # The warm-up is counted in whole batches; the detector saw the rest.
        at = self._detector.changed_at
        return None if at is None else self.seen - self._detector.seen + at

    @property
    def evidence(self) -> float | None:
        """The change detector's evidence, a metric of its own."""
        return self._detector.evidence

    def concept(self) -> Estimate:
        """0 until the alarm; then the share of the old baseline's skill that was lost on the events since."""
        if self._baseline is None:
            return Estimate.collecting(self._next[0].count)
        if not self._alarmed:
            return Estimate.of(0.0, self.seen, 0.0, 0.0)
        if not _has_skill(self._baseline[1]):
            return Estimate.collecting(self._next[0].count)  # the error rose, but there was no skill to lose
        low, middle, high = _share_lost(*self._baseline, self._next[0])
        return Estimate.of(middle, self._next[0].count, low, high)

    def performance(self) -> Estimate:
        """The lower bound of the share of skill lost lately: what is surely gone."""
        now = sum(self._window, start=Moments())
        if self._baseline is None or not _has_skill(self._baseline[1]) or now.count < self.window_size:
            return Estimate.collecting(now.count)
        low, _, high = _share_lost(*self._baseline, now)
        return Estimate.of(low, now.count, low, high)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "seen": self.seen,
            "alarms": self.alarms,
            "alarmed": self._alarmed,
            "detector": self._detector.state(),
            "baseline": [asdict(part) for part in self._baseline] if self._baseline else None,
            "next": [asdict(part) for part in self._next],
            "window": [asdict(part) for part in self._window],
            "segments": self.segments.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift = cls(**config)
        drift.seen, drift.alarms, drift._alarmed = state["seen"], state["alarms"], state["alarmed"]
        sizes = {"baseline_size": drift.baseline_size, "run_length": drift._detector.run_length}
        drift._detector = ChangeDetector.from_state(state["detector"], **sizes)
        baseline = state["baseline"]
        drift._baseline = (Moments(**baseline[0]), Moments(**baseline[1])) if baseline else None
        drift._next = (Moments(**state["next"][0]), Moments(**state["next"][1]))
        drift._window = [Moments(**part) for part in state["window"]]
        drift.segments = SegmentTally.from_state(state["segments"])
        return drift


def _has_skill(gains: Moments) -> bool:
    return gains.mean > SKILL_SURE * gains.error


def _share_lost(losses: Moments, gains: Moments, now: Moments) -> tuple[float, float, float]:
    """Low, point and high of the share of skill lost: the rise of the loss over the baseline's gain on the constant."""
    skill = max(gains.mean, 1e-9)
    rise, error = now.mean - losses.mean, np.hypot(now.error, losses.error) if now.count > 1 else math.inf
    reach = LOSS_SURE * float(error)
    return (rise - reach) / skill, rise / skill, (rise + reach) / skill
