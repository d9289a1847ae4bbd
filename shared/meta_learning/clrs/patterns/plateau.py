"""Plateau: the model no longer changes, and is surely below the threshold of alignment."""

from __future__ import annotations

from typing import Any

from meta_learning.clrs.patterns.answer_sides import AnswerSides
from meta_learning.clrs.patterns.port import Evidence, Reading
from meta_learning.clrs.patterns.reference import Run

CYCLES = 15
CHURN_MAX = 0.002  # a cycle


class Plateau:
    """Fifteen cycles running alignment is ``misaligned`` (its whole confidence sequence lies below the threshold, against the
    human ceiling where that is known) while the champion's probe answers stay as they are.
    """

    name = "plateau"

    def __init__(self) -> None:
        self._sides = AnswerSides(CYCLES + 1)
        self._below = Run(CYCLES)

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        is_below = self._below.holds(reading.alignment_state == "misaligned")
        if reading.probe_answers is None:
            return None
        self._sides.update(reading.probe_answers)
        if not is_below or not self._sides.is_full:
            return None
        churn = float(self._sides.changed.mean())
        if churn > CHURN_MAX:
            return None
        sentence = (
            f"The model has stopped learning short of the threshold: {CYCLES} cycles without a change worth the name "
            f"({churn:.1%} of the probe's answers a cycle), and surely misaligned all the while."
        )
        return Evidence({"churn": churn, "cycles": CYCLES}, sentence)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"sides": self._sides.state(), "below": self._below.length}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._sides.restore(state["sides"])
        self._below.length = state["below"]
