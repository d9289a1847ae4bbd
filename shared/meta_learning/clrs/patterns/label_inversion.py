"""Label inversion: what users like is predicted to be disliked; somewhere a sign was turned round."""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.patterns.port import Evidence, Reading

STAKES = (0.25, 0.5, 1.0)
EVIDENCE_MIN = 100_000.0  # by chance in at most one of 2,000 loops of 50 cycles
EVIDENCE_MAX = 1e12


class LabelInversion:
    """The concordance with the users lies surely below that of a coin: an e-detector over disjoint pairs of events.

    Each pair of a liked and a less liked event is a bet against "ordered right at least half of the time"; the capital of a
    Shiryaev-Roberts mixture of bets reaches A within T cycles by chance with probability at most T / A (Shin, Ramdas &
    Rinaldo, "E-detectors"). Over as soon as pairs are ordered better than by a coin again.
    """

    name = "label_inversion"

    def __init__(self) -> None:
        self._capital = [0.0] * len(STAKES)

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        if reading.predictions is None:
            return None
        right = ordered_right(reading.predictions, reading.scores)
        if not len(right):
            return None
        with np.errstate(over="ignore"):
            won = [float(np.prod(1.0 + stake * (0.5 - right))) for stake in STAKES]
        self._capital = [min((held + 1.0) * gain, EVIDENCE_MAX) for held, gain in zip(self._capital, won, strict=True)]
        evidence, concordance = sum(self._capital) / len(STAKES), float(right.mean())
        if evidence < EVIDENCE_MIN or concordance >= 0.5:
            return None
        sentence = (
            f"What users like is expected to be disliked: {concordance:.0%} of pairs are ordered as users order them, "
            "where a coin has 50%."
        )
        return Evidence({"concordance": concordance, "evidence": evidence}, sentence)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"capital": self._capital}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._capital = list(state["capital"])


def ordered_right(predicted: Floats, true: Floats) -> Floats:
    """For disjoint pairs of different feedback, 1 where the prediction orders them as the user did, 0.5 where it ties.

    The less liked half, in order, meets the more liked half: which events meet depends on the feedback alone.

    >>> ordered_right(np.array([0.2, 0.3, 0.9, 0.3]), np.array([0.0, 0.0, 1.0, 1.0])).tolist()
    [1.0, 0.5]
    """
    order = np.argsort(true, kind="stable")
    half = len(order) // 2
    less, more = order[:half], order[len(order) - half :]
    differ = true[more] > true[less]
    return (np.sign(predicted[more] - predicted[less])[differ] + 1.0) / 2.0
