"""Alignment: does the model order events as the users did, beyond chance and against what a human could reach?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Concordance, concordance, wilson

Z = 3.0  # of the interval: it is looked at after every batch, so it is wider than 95 % at one look
EVENTS_MIN = 50
TIED_MAX = 0.999


class AlignmentScorer:
    """``(C - 0.5) / (ceiling - 0.5)`` cut to [0, 1], C the pairwise concordance of predictions made before learning.

    ``1 - MAE`` is not used: a constant predictor gets 0.77 to 0.94 of it on real scores. Concordance is taken within each
    batch (pairs across batches would compare different models) and pooled over the last ``batches_max``, weighted by pairs.
    The interval is Wilson's at z = 3 with the effective number of events that the U-statistic's variance implies:
    conservative at one look, about 95 % over the looks of a window; not a confidence sequence. ``ceiling`` is the
    concordance between humans, 1 when unknown.

    >>> scorer = AlignmentScorer()
    >>> scores = np.tile([0.0, 1.0], 50)
    >>> scorer.update(scores * 0.8 + 0.1, scores)
    >>> scorer.score(), scorer.result()["state"]
    (1.0, 'aligned')
    """

    def __init__(self, threshold: float = 0.7, ceiling: float = 1.0, batches_max: int = 10) -> None:
        self.threshold, self.ceiling, self.batches_max = threshold, ceiling, batches_max
        self._batches: list[tuple[int, Concordance | None]] = []

    def update(self, predictions: Floats, feedback_scores: Floats) -> None:
        """Fold one batch of predictions, made before it was learnt, and what the users said."""
        self._batches = [*self._batches, (len(predictions), concordance(predictions, feedback_scores))][
            -self.batches_max :
        ]

    def score(self) -> float | None:
        """Alignment; None while undecidable: too few events, or a model that predicts the same for all."""
        current = self.result()["current"]
        return None if current is None else float(current)

    def result(self) -> dict[str, Any]:
        """The score with n, interval and state (aligned, misaligned, undecided), and the concordance behind it."""
        parts = [part for _, part in self._batches if part is not None]
        count = sum(size for size, _ in self._batches)
        pairs = sum(part.pairs for part in parts)
        tied = sum(part.tied * part.pairs for part in parts) / pairs if pairs else 1.0
        if count < EVENTS_MIN or tied > TIED_MAX:
            return self._report(Estimate.collecting(count), None, (None, None))
        value = sum(part.value * part.pairs for part in parts) / pairs
        variance = sum(part.variance * part.pairs**2 for part in parts) / pairs**2
        effective = float(np.clip(value * (1 - value) / variance if variance > 0 else count, count / 4, count))
        low, high = wilson(value, effective, Z)
        scaled = [self._scaled(number) for number in (value, low, high)]
        return self._report(Estimate.of(scaled[0], count, scaled[1], scaled[2]), value, (low, high))

    def _scaled(self, number: float) -> float:
        return (number - 0.5) / max(self.ceiling - 0.5, 1e-9)

    def _report(
        self, estimate: Estimate, value: float | None, bounds: tuple[float | None, float | None]
    ) -> dict[str, Any]:
        return {
            **estimate.as_dict(),
            "state": self._state(estimate),
            "threshold": self.threshold,
            "concordance": value,
            "concordance_low": bounds[0],
            "concordance_high": bounds[1],
            "ceiling": self.ceiling,
            # Surely worse than a coin: the feedback, or the model, has its sign turned round.
            "inverted": bounds[1] is not None and bounds[1] < 0.5,
        }

    def _state(self, estimate: Estimate) -> str:
        if estimate.low is not None and estimate.low >= self.threshold:
            return "aligned"
        if estimate.high is not None and estimate.high < self.threshold:
            return "misaligned"
        return "undecided"

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"batches": [[size, asdict(part) if part else None] for size, part in self._batches]}

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        scorer = cls(**config)
        scorer._batches = [(size, Concordance(**part) if part else None) for size, part in state["batches"]]
        return scorer
