"""Collapse: the outputs repeat each other more and more."""

from __future__ import annotations

from typing import Any

from meta_learning.clrs.patterns.port import Evidence, Reading
from meta_learning.clrs.patterns.reference import Reference, Run

MEASURES = {
    "distinct_2": "of the word pairs in the outputs are distinct",
    "zlib_ratio": "of the outputs' size is left when compressed",
}
P_MAX = 1e-4
FALL_MIN = 0.05  # of the usual value
CYCLES = 2


class Collapse:
    """Distinct-2 or the compressed size of the outputs lies below the usual, two cycles running.

    Both see 5 % of near-copies in a hundred outputs (z = -4.7 and -4.2), where the mean cosine sees nothing below 20 %.
    """

    name = "collapse"

    def __init__(self) -> None:
        self._usual = {measure: Reference(floor=0.002) for measure in MEASURES}
        self._run = Run(CYCLES)

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        found = None
        for measure, usual in self._usual.items():
            value = (reading.diversity or {}).get(measure)
            if value is None:
                continue
            is_low = usual.p_value(value, "below") < P_MAX / len(MEASURES) and value < (1.0 - FALL_MIN) * usual.mean
            if is_low and found is None:
                found = measure, value, usual.mean
            usual.update(value)
        if not self._run.holds(found is not None) or found is None:
            return None
        measure, value, before = found
        told = f"The outputs repeat each other: {value:.0%} {MEASURES[measure]}, where {before:.0%} was usual."
        return Evidence({measure: value, f"{measure}_usual": before}, told)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"usual": {name: usual.state() for name, usual in self._usual.items()}, "run": self._run.length}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for name, usual in self._usual.items():
            usual.restore(state["usual"][name])
        self._run.length = state["run"]
