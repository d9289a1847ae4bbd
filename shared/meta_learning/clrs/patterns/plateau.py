"""Plateau: the model no longer changes, and is surely below the threshold of alignment."""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.patterns.answer_sides import AnswerSides
from meta_learning.clrs.patterns.port import Evidence, Reading
from meta_learning.clrs.patterns.reference import Run

CYCLES = 15
ANSWERS_MAX = 1_000
CHURN_MAX = 0.002  # of the champion's answers, a cycle
MOVE_MAX = 0.002  # of a candidate's answer, a cycle; one that learns tweets still moves by .006 after 150 cycles


class Plateau:
    """Fifteen cycles running alignment is ``misaligned`` (its whole confidence sequence lies below the threshold, against the
    human ceiling where that is known), the champion's probe answers keep their sides, and the candidate's hardly move.

    A champion alone may stand still because its gates hold a candidate that learns: on tweets that was so in half of the
    loops, all of which went on to learn. Where the candidate's answers are not known, the champion's stand for them.
    """

    name = "plateau"

    def __init__(self) -> None:
        self._sides = AnswerSides(CYCLES + 1)
        self._below = Run(CYCLES)
        self._last: list[float] = []
        self._moves: list[float] = []

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        is_below = self._below.holds(reading.alignment_state == "misaligned")
        if reading.probe_answers is None:
            return None
        self._sides.update(reading.probe_answers)
        self._move(reading.probe_answers if reading.probe_candidate is None else reading.probe_candidate)
        if not is_below or not self._sides.is_full or len(self._moves) < CYCLES:
            return None
        churn, moved = float(self._sides.changed.mean()), sum(self._moves) / len(self._moves)
        if churn > CHURN_MAX or moved > MOVE_MAX:
            return None
        sentence = (
            f"The model has stopped learning short of the threshold: {CYCLES} cycles without a change worth the name "
            f"({churn:.1%} of the probe's answers a cycle), and surely misaligned all the while."
        )
        return Evidence({"churn": churn, "moved": moved, "cycles": CYCLES}, sentence)

    def _move(self, answers: Floats) -> None:
        few = np.round(answers[:ANSWERS_MAX], 4)
        if len(few) == len(self._last):
            self._moves = [*self._moves, round(float(np.abs(few - np.array(self._last)).mean()), 6)][-CYCLES:]
        else:
            self._moves = []
        self._last = few.tolist()

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"sides": self._sides.state(), "below": self._below.length, "last": self._last, "moves": self._moves}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._sides.restore(state["sides"])
        self._below.length = state["below"]
        self._last, self._moves = list(state["last"]), list(state["moves"])
