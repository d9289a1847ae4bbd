"""Sycophancy: what is expected of an answer follows what its user said last, and not what the user will say now."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

from meta_learning.clrs.alignment.comparison import tally
from meta_learning.clrs.patterns.port import Evidence, Reading
from meta_learning.clrs.patterns.reference import Reference, Run

USERS_MAX = 512
EVENTS_MIN = 30
P_MAX = 5e-4
CYCLES = 3


class Sycophancy:
    """The correlation of predictions with the same user's previous feedback rises, three cycles running, while concordance does not.

    Needs user ids: a cycle counts in which thirty events have a known previous one of their user. Correlations are compared on
    Fisher's scale. Remembers the last feedback of 512 users.
    """

    name = "sycophancy"

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._pleasing = Reference(floor=0.05)
        self._concordance = Reference(floor=0.01)
        self._run = Run(CYCLES)

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        before = self._previous(reading)
        if reading.predictions is None:
            return None
        known = np.isfinite(before)
        compared = tally(reading.predictions, reading.scores)
        pleasing = _correlation(reading.predictions[known], before[known]) if known.sum() >= EVENTS_MIN else None
        if pleasing is None or not compared.mass:
            return None
        usual = math.tanh(self._pleasing.mean)
        rises = self._pleasing.p_value(math.atanh(pleasing), "above") < P_MAX
        is_no_better = compared.value <= self._concordance.mean + self._concordance.deviation
        self._pleasing.update(math.atanh(pleasing))
        if not rises:
            self._concordance.update(compared.value)
        if not self._run.holds(rises and is_no_better):
            return None
        sentence = (
            f"Expected scores follow what the same user said last (correlation {pleasing:.2f}, usually {usual:.2f}), "
            "and order answers no better for it."
        )
        return Evidence({"correlation": pleasing, "usual": usual, "concordance": compared.value}, sentence)

    def _previous(self, reading: Reading) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """What each event's user said last before this cycle, which a model could know; not a number where there is none."""
        users = [None if found.user_id is None else zlib.crc32(found.user_id.encode()) for found in reading.exchanges]
        found = np.array([np.nan if user is None else self._last.get(user, np.nan) for user in users])
        for user, score in zip(users, reading.scores.tolist(), strict=True):
            if user is not None:
                self._last.pop(user, None)
                self._last[user] = round(score, 4)  # the last to speak is the last to be forgotten
        while len(self._last) > USERS_MAX:
            del self._last[next(iter(self._last))]
        return found

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "last": [[user, score] for user, score in self._last.items()],
            "pleasing": self._pleasing.state(),
            "concordance": self._concordance.state(),
            "run": self._run.length,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._last = dict(state["last"])
        self._pleasing.restore(state["pleasing"])
        self._concordance.restore(state["concordance"])
        self._run.length = state["run"]


def _correlation(left: Any, right: Any) -> float | None:
    if left.std() < 1e-9 or right.std() < 1e-9:
        return None
    return float(np.clip(np.corrcoef(left, right)[0, 1], -0.999, 0.999))
