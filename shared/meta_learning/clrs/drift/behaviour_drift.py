"""Drift of behaviour: how far the champion's answers on the fixed probe moved from those of a pinned earlier champion."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats


class BehaviourDrift:
    """Root mean square, over the fixed probe, of what each answer moved since ``span`` to ``2 * span`` cycles ago.

    0.3 is 9 % of the answers turned from 0 to 1, or every fourth moved by 0.6. Both champions answer the same questions: there
    is no sampling noise, and answers are compared one by one. A distance of the two histograms (Jensen-Shannon) does not do:
    it takes a model that grows surer (.85 becomes .95) for one that changed its mind (.30 in a twentieth of healthy loops, where
    no answer changed its side), and does not see answers that change places.

    Never against the previous cycle: one cycle moves little even when all labels were turned. A champion is pinned only if it
    was promoted ``young`` cycles or more after the probe was full: a younger one moves because it learns. In 60 healthy loops
    on tweets it stayed below .14; a reversal of all labels passed .3 within four to six cycles.

    >>> drift = BehaviourDrift(span=1, young=1)
    >>> for answer in (0.1, 0.1, 0.1, 0.9): drift.update(np.full(50, answer))
    >>> drift.result().current
    0.8
    """

    def __init__(self, span: int = 10, young: int = 10) -> None:
        self.span, self.young = span, young
        self.cycles = 0
        self._since = 0  # the cycle in which the champion's present answers began
        self._last: list[float] = []
        self._pins: list[tuple[int, list[float]]] = []  # cycle and answers, oldest first: the pinned one, and the next
        self._estimate = Estimate.collecting()

    def update(self, answers: Floats) -> None:
        """Fold the champion's answers on the probe, once a cycle."""
        said = answers.tolist()
        if len(said) != len(self._last):  # the probe still grows: what was pinned answered other questions
            self.cycles, self._pins = 0, []
        self.cycles += 1
        if said != self._last:
            self._since, self._last = self.cycles, said
        self._estimate = self._compared(answers)
        if self._since >= self.young and (not self._pins or self.cycles - self._pins[-1][0] >= self.span):
            self._pins = [*self._pins, (self.cycles, said)][-2:]

    def _compared(self, answers: Floats) -> Estimate:
        if not self._pins or self.cycles - self._pins[0][0] < self.span:
            return Estimate.collecting(len(answers))
        moved = answers - np.array(self._pins[0][1])
        distance = float(np.sqrt(np.mean(moved * moved)))
        return Estimate.of(distance, len(answers), distance, distance)

    def result(self) -> Estimate:
        """The distance now; exact for this probe, so its interval has no width."""
        return self._estimate

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "cycles": self.cycles,
            "since": self._since,
            "last": self._last,
            "pins": [list(pin) for pin in self._pins],
            "estimate": self._estimate.as_dict(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift = cls(**config)
        if "last" not in state:  # of a release that kept histograms: answers cannot be had from them, so it begins anew
            return drift
        drift.cycles, drift._since, drift._last = state["cycles"], state["since"], list(state["last"])
        drift._pins = [(at, answers) for at, answers in state["pins"]]
        drift._estimate = Estimate(**state["estimate"])
        return drift
