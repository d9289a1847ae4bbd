"""Did the loop cause it, or the world? The champion beside a control arm that learns nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Moments

SURE = 3.0  # standard errors
RECENT_SIZE = 1000
BASELINE_MIN = 300
RECENT_MIN = 200


class LoopDrift:
    """Losses of the champion and of a frozen control version on the same events, before and lately.

    A change in the world moves both; what the loop did to itself moves only the champion. Two statistics, each against its
    own earlier mean: the rise of the control's loss, and the rise of the paired difference champion - control (which the
    difficulty of the events cancels out of). ``cause`` is

    - ``world`` where the control surely lost, and the champion not surely more than twice as much,
    - ``loop`` where the champion surely lost against the control, which did not surely lose,
    - ``unclear`` where the champion's loss surely rose otherwise, ``none`` where nothing surely rose.

    Sure is 3 standard errors of the last 1,000 events against all before them. A new control version starts both afresh.
    The null is: both losses keep their means. Source: a frozen control arm as in Bottou et al. (2013), counterfactual
    reasoning about learning systems.

    >>> drift = LoopDrift()
    >>> steady = np.tile([0.1, 0.3], 250)
    >>> for _ in range(4): drift.update("v1", steady, steady)
    >>> for _ in range(2): drift.update("v1", steady + 0.3, steady)
    >>> drift.result()["cause"]
    'loop'
    """

    def __init__(self, recent_size: int = RECENT_SIZE) -> None:
        self.recent_size = recent_size
        self.control: str | None = None
        self._before = (Moments(), Moments(), Moments())  # champion, control, difference
        self._recent: list[tuple[Moments, Moments, Moments]] = []

    def update(self, control: str, champion_losses: Floats, control_losses: Floats) -> None:
        """Fold the losses, in [0, 1], of both on one batch of events that neither had learnt."""
        if control != self.control:
            self.control, self._recent = control, []
            self._before = (Moments(), Moments(), Moments())
        differences = champion_losses - control_losses
        batch = (Moments.of(champion_losses), Moments.of(control_losses), Moments.of(differences))
        self._recent = [*self._recent, batch]
        while len(self._recent) > 1 and sum(part[0].count for part in self._recent[1:]) >= self.recent_size:
            self._before = _added(self._before, self._recent[0])
            self._recent = self._recent[1:]

    def result(self) -> dict[str, Any]:
        """``cause`` with the rises of champion, control and difference, each with its standard error; None while collecting."""
        now = (Moments(), Moments(), Moments())
        for batch in self._recent:
            now = _added(now, batch)
        numbers: dict[str, Any] = {"control": self.control, "n": now[0].count, "cause": None}
        if self._before[0].count < BASELINE_MIN or now[0].count < RECENT_MIN:
            return numbers
        sure, rises = {}, {}
        for name, old, new in zip(("champion", "control", "difference"), self._before, now, strict=True):
            rise, error = new.mean - old.mean, max(float(np.hypot(old.error, new.error)), 1e-9)
            numbers[name] = {"rise": rise, "error": error, "before": old.mean, "now": new.mean}
            sure[name], rises[name] = rise > SURE * error, rise
        return {**numbers, "cause": _cause(sure, rises)}

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "control": self.control,
            "before": [asdict(part) for part in self._before],
            "recent": [[asdict(part) for part in batch] for batch in self._recent],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift = cls(**config)
        drift.control = state["control"]
        drift._before = _read(state["before"])
        drift._recent = [_read(batch) for batch in state["recent"]]
        return drift


def _cause(sure: dict[str, bool], rises: dict[str, float]) -> str:
    if sure["control"]:
        # A better model has more to lose: when right and wrong change places, the champion falls further than the control.
        return "unclear" if sure["difference"] and rises["difference"] > rises["control"] else "world"
    if sure["difference"]:
        return "loop"
    return "unclear" if sure["champion"] else "none"


def _added(
    left: tuple[Moments, Moments, Moments], right: tuple[Moments, Moments, Moments]
) -> tuple[Moments, Moments, Moments]:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])


def _read(parts: list[dict[str, Any]]) -> tuple[Moments, Moments, Moments]:
    champion, control, difference = (Moments(**part) for part in parts)
    return (champion, control, difference)
