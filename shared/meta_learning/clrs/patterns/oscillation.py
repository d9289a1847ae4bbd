"""Oscillation: the champion's answers swing to and fro and come to nothing."""

from __future__ import annotations

from typing import Any

from meta_learning.clrs.patterns.answer_sides import AnswerSides
from meta_learning.clrs.patterns.port import Evidence, Reading

CYCLES = 8
CHURN_MIN = 0.10  # a cycle; a healthy one moves 8 % of the answers in its first ten cycles, 2 % after
UNDONE_MIN = 0.5  # of the changes that the next cycles could undo
GAIN_MAX = 0.03


class Oscillation:
    """Over eight cycles at least 10 % of the probe's answers change side in each, half of the changes are undone by the next
    champion but one, and the share of right answers ends where it began.
    """

    name = "oscillation"

    def __init__(self) -> None:
        self._sides = AnswerSides(CYCLES + 1)

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        if reading.probe_answers is None:
            return None
        self._sides.update(reading.probe_answers)
        if not self._sides.is_full:
            return None
        changed = self._sides.changed
        churn = float(changed.mean())
        # Of the flips between two cycles, those that the next cycle takes back.
        undone = float((changed[1:] & changed[:-1]).sum()) / max(int(changed[:-1].sum()), 1)
        gain = self._gain(reading)
        if churn < CHURN_MIN or undone < UNDONE_MIN or abs(gain) > GAIN_MAX:
            return None
        sentence = (
            f"The model's answers swing: {churn:.0%} of the probe change side in each cycle, {undone:.0%} of the changes are "
            f"undone by the next, and the share of right answers has moved by {100 * gain:+.0f} points in {CYCLES} cycles."
        )
        return Evidence({"churn": churn, "undone": undone, "gain": gain}, sentence)

    def _gain(self, reading: Reading) -> float:
        if reading.probe_scores is None:
            return 0.0
        liked = reading.probe_scores >= 0.5
        size = min(len(liked), self._sides.rows.shape[1])
        right = self._sides.rows[:, :size] == liked[:size]
        # Two cycles at each end: a swing of period two must not pass for a gain.
        return float(right[-2:].mean() - right[:2].mean()) if size else 0.0

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"sides": self._sides.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._sides.restore(state["sides"])
