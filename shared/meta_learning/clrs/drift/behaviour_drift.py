"""Drift of behaviour: how far the champion's answers on the fixed probe moved from those of a pinned earlier champion."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import binned, js_distance


class BehaviourDrift:
    """Jensen-Shannon distance (base 2, ten bins) of the champion's probe answers now and ``span`` to ``2 * span`` cycles ago.

    Never against the previous cycle: a healthy cycle moves it by 0.02, and a total reversal of all labels by 0.02 in its first
    cycle too; the reversal needs some 20 cycles to reach 0.3. Both answer the same questions, so there is no sampling noise
    between them. A champion younger than ``young`` cycles (from the full probe on) is never pinned: it moves because it learns.
    Ten loops on tweets, ten cycles apart: from cycle 10 on .29 (at most .91), from 15 on .11 (.17), from 30 on .10 (.12).

    >>> drift = BehaviourDrift(span=1, young=1)
    >>> for answer in (0.1, 0.1, 0.1, 0.9): drift.update(np.full(50, answer))
    >>> drift.result().current
    1.0
    """

    def __init__(self, span: int = 10, young: int = 15) -> None:
        self.span, self.young = span, young
        self.cycles = 0
        self._pins: list[tuple[int, list[int]]] = []  # cycle and histogram, oldest first: the pinned one, and the next
        self._size = 0
        self._estimate = Estimate.collecting()

    def update(self, answers: Floats) -> None:
        """Fold the champion's answers on the probe, once a cycle."""
        if len(answers) != self._size:  # the probe still grows: what was pinned answered other questions
            self.cycles, self._pins, self._size = 0, [], len(answers)
        self.cycles += 1
        counts = binned(answers)
        if self._pins and self.cycles - self._pins[0][0] >= self.span:
            distance = js_distance(np.array(self._pins[0][1]), counts)
            self._estimate = Estimate.of(distance, self._size, distance, distance)
        else:
            self._estimate = Estimate.collecting(self._size)
        if self.cycles >= self.young and (self.cycles - self.young) % self.span == 0:
            self._pins = [*self._pins, (self.cycles, counts.tolist())][-2:]

    def result(self) -> Estimate:
        """The distance now; exact for this probe, so its interval has no width."""
        return self._estimate

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "cycles": self.cycles,
            "pins": [list(pin) for pin in self._pins],
            "size": self._size,
            "estimate": self._estimate.as_dict(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift = cls(**config)
        drift.cycles, drift._size = state["cycles"], state["size"]
        drift._pins = [(at, counts) for at, counts in state["pins"]]
        drift._estimate = Estimate(**state["estimate"])
        return drift
