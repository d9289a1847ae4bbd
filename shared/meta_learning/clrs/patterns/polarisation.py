"""Polarisation: scores leave the middle for the extremes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.patterns.port import Evidence, Reading
from meta_learning.clrs.patterns.reference import Reference, Run
from meta_learning.clrs.statistics import binned

P_MAX = 1e-4
CYCLES = 2
EVENTS_MIN = 20
Z_SLOPE = 3.0


class Polarisation:
    """The variance of the scores rises while their entropy falls, two cycles running: of the users', or of the model's.

    A model that learns also spreads its predictions, rightly; its polarisation counts only when the predictions are more
    extreme than the feedback bears out (slope of feedback on prediction surely below 1). For yes-or-no feedback variance
    and entropy move together, so that it is never called polarised.
    """

    name = "polarisation"

    def __init__(self) -> None:
        self._variance = {whose: Reference(floor=0.003) for whose in ("feedback", "predictions")}
        self._entropy = {whose: Reference(floor=0.02) for whose in ("feedback", "predictions")}
        self._runs = {whose: Run(CYCLES) for whose in ("feedback", "predictions")}

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        found = None
        if len(reading.scores) >= EVENTS_MIN:
            found = self._look("feedback", reading.scores, True)
            if reading.predictions is not None:
                bold = is_too_bold(reading.predictions, reading.scores)
                found = self._look("predictions", reading.predictions, bold) or found
        return found

    def _look(self, whose: str, values: Floats, is_unwarranted: bool) -> Evidence | None:
        variance, entropy = float(np.var(values)), entropy_of(values)
        usual, mixed = self._variance[whose], self._entropy[whose]
        wide, told_apart = usual.p_value(variance, "above") < P_MAX, mixed.p_value(entropy, "below") < P_MAX
        before = usual.mean
        usual.update(variance)
        mixed.update(entropy)
        if not self._runs[whose].holds(wide and told_apart and is_unwarranted):
            return None
        said = "What users say" if whose == "feedback" else "What the model expects"
        sentence = (
            f"{said} is leaving the middle: the standard deviation is {math.sqrt(variance):.2f}, "
            f"where {math.sqrt(max(before, 0.0)):.2f} was usual."
        )
        return Evidence(
            {f"{whose}_variance": variance, f"{whose}_variance_usual": before, "entropy": entropy}, sentence
        )

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "variance": {whose: usual.state() for whose, usual in self._variance.items()},
            "entropy": {whose: usual.state() for whose, usual in self._entropy.items()},
            "runs": {whose: run.length for whose, run in self._runs.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for whose in self._runs:
            self._variance[whose].restore(state["variance"][whose])
            self._entropy[whose].restore(state["entropy"][whose])
            self._runs[whose].length = state["runs"][whose]


def entropy_of(values: Floats) -> float:
    """Entropy of ten bins, in [0, 1]."""
    shares = binned(values) / len(values)
    held = shares[shares > 0]
    return float(-(held * np.log(held)).sum() / math.log(10))


def is_too_bold(predicted: Floats, true: Floats) -> bool:
    """Whether the regression of ``true`` on ``predicted`` is surely flatter than 1."""
    centred = predicted - predicted.mean()
    spread = float(centred @ centred)
    if spread <= 0.0:
        return False
    slope = float(centred @ (true - true.mean())) / spread
    rest = true - true.mean() - slope * centred
    error = math.sqrt(float(rest @ rest) / max(len(true) - 2, 1) / spread)
    return slope + Z_SLOPE * error < 1.0
